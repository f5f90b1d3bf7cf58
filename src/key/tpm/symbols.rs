//! The functions of libtss2 that tss-esapi calls, defined here and forwarded to the libraries once they are loaded: this is
//! what satisfies the linker, so that the program neither needs libtss2 to be built nor to start. An FFI edge.
#![allow(unsafe_code)]
// The forwarders have the library's names and shapes.
#![allow(non_snake_case, clippy::too_many_arguments)]

use tss_esapi::tss2_esys::*;

use super::library::Libraries;

/// What a forwarder answers where its function is missing. Never seen: every TPM is opened after the libraries were loaded,
/// and these functions are in tpm2-tss since 2.4.
const NOT_LOADED: TSS2_RC = 7 << 16 | TSS2_BASE_RC_NOT_IMPLEMENTED;

/// Defines each symbol and forwards it. The constant proves that the shape is the one that tss-esapi calls.
macro_rules! forward {
    ($library:ident: $(fn $name:ident($($argument:ident: $kind:ty),* $(,)?) $(-> $result:ty)?;)*) => {$(
        const _: unsafe extern "C" fn($($kind),*) $(-> $result)? = tss_esapi::tss2_esys::$name;

        // SAFETY: no other definition of the symbol is linked (see .cargo/config.toml); if one were, it would have the same
        // shape.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($argument: $kind),*) $(-> $result)? {
            let Some(libraries) = Libraries::loaded() else { return forward!(@missing $($result)?) };
            // SAFETY: the library exports the symbol with this shape, which its soname (.so.0) promises.
            let symbol = unsafe {
                libraries.$library.get::<unsafe extern "C" fn($($kind),*) $(-> $result)?>(concat!(stringify!($name), "\0").as_bytes())
            };
            match symbol {
                // SAFETY: the caller keeps the contract of the function of this name; the arguments pass through.
                Ok(function) => unsafe { function($($argument),*) },
                Err(_) => forward!(@missing $($result)?),
            }
        }
    )*};
    (@missing $result:ty) => { NOT_LOADED };
    (@missing) => { () };
}

forward! { esys:
    fn Esys_Initialize(
        context: *mut *mut ESYS_CONTEXT, tcti: *mut TSS2_TCTI_CONTEXT, abi_version: *mut TSS2_ABI_VERSION,
    ) -> TSS2_RC;
    fn Esys_Finalize(context: *mut *mut ESYS_CONTEXT);
    fn Esys_TR_FromTPMPublic(
        context: *mut ESYS_CONTEXT, tpm_handle: TPM2_HANDLE, session_1: ESYS_TR, session_2: ESYS_TR,
        session_3: ESYS_TR, object: *mut ESYS_TR,
    ) -> TSS2_RC;
    fn Esys_TR_Close(context: *mut ESYS_CONTEXT, rsrc_handle: *mut ESYS_TR) -> TSS2_RC;
    fn Esys_TR_SetAuth(context: *mut ESYS_CONTEXT, handle: ESYS_TR, auth_value: *const TPM2B_AUTH) -> TSS2_RC;
    fn Esys_TRSess_SetAttributes(
        context: *mut ESYS_CONTEXT, session: ESYS_TR, flags: TPMA_SESSION, mask: TPMA_SESSION,
    ) -> TSS2_RC;
    fn Esys_StartAuthSession(
        context: *mut ESYS_CONTEXT, tpm_key: ESYS_TR, bind: ESYS_TR, session_1: ESYS_TR, session_2: ESYS_TR,
        session_3: ESYS_TR, nonce_caller: *const TPM2B_NONCE, session_type: TPM2_SE, symmetric: *const TPMT_SYM_DEF,
        auth_hash: TPMI_ALG_HASH, session_handle: *mut ESYS_TR,
    ) -> TSS2_RC;
    fn Esys_GetCapability(
        context: *mut ESYS_CONTEXT, session_1: ESYS_TR, session_2: ESYS_TR, session_3: ESYS_TR, capability: TPM2_CAP,
        property: UINT32, property_count: UINT32, more_data: *mut TPMI_YES_NO,
        capability_data: *mut *mut TPMS_CAPABILITY_DATA,
    ) -> TSS2_RC;
    fn Esys_CreatePrimary(
        context: *mut ESYS_CONTEXT, primary_handle: ESYS_TR, session_1: ESYS_TR, session_2: ESYS_TR,
        session_3: ESYS_TR, in_sensitive: *const TPM2B_SENSITIVE_CREATE, in_public: *const TPM2B_PUBLIC,
        outside_info: *const TPM2B_DATA, creation_pcr: *const TPML_PCR_SELECTION, object_handle: *mut ESYS_TR,
        out_public: *mut *mut TPM2B_PUBLIC, creation_data: *mut *mut TPM2B_CREATION_DATA,
        creation_hash: *mut *mut TPM2B_DIGEST, creation_ticket: *mut *mut TPMT_TK_CREATION,
    ) -> TSS2_RC;
    fn Esys_Create(
        context: *mut ESYS_CONTEXT, parent_handle: ESYS_TR, session_1: ESYS_TR, session_2: ESYS_TR,
        session_3: ESYS_TR, in_sensitive: *const TPM2B_SENSITIVE_CREATE, in_public: *const TPM2B_PUBLIC,
        outside_info: *const TPM2B_DATA, creation_pcr: *const TPML_PCR_SELECTION,
        out_private: *mut *mut TPM2B_PRIVATE, out_public: *mut *mut TPM2B_PUBLIC,
        creation_data: *mut *mut TPM2B_CREATION_DATA, creation_hash: *mut *mut TPM2B_DIGEST,
        creation_ticket: *mut *mut TPMT_TK_CREATION,
    ) -> TSS2_RC;
    fn Esys_Load(
        context: *mut ESYS_CONTEXT, parent_handle: ESYS_TR, session_1: ESYS_TR, session_2: ESYS_TR,
        session_3: ESYS_TR, in_private: *const TPM2B_PRIVATE, in_public: *const TPM2B_PUBLIC,
        object_handle: *mut ESYS_TR,
    ) -> TSS2_RC;
    fn Esys_Import(
        context: *mut ESYS_CONTEXT, parent_handle: ESYS_TR, session_1: ESYS_TR, session_2: ESYS_TR,
        session_3: ESYS_TR, encryption_key: *const TPM2B_DATA, object_public: *const TPM2B_PUBLIC,
        duplicate: *const TPM2B_PRIVATE, in_sym_seed: *const TPM2B_ENCRYPTED_SECRET,
        symmetric_alg: *const TPMT_SYM_DEF_OBJECT, out_private: *mut *mut TPM2B_PRIVATE,
    ) -> TSS2_RC;
    fn Esys_Sign(
        context: *mut ESYS_CONTEXT, key_handle: ESYS_TR, session_1: ESYS_TR, session_2: ESYS_TR, session_3: ESYS_TR,
        digest: *const TPM2B_DIGEST, in_scheme: *const TPMT_SIG_SCHEME, validation: *const TPMT_TK_HASHCHECK,
        signature: *mut *mut TPMT_SIGNATURE,
    ) -> TSS2_RC;
    fn Esys_FlushContext(context: *mut ESYS_CONTEXT, flush_handle: ESYS_TR) -> TSS2_RC;
    fn Esys_EvictControl(
        context: *mut ESYS_CONTEXT, auth: ESYS_TR, object_handle: ESYS_TR, session_1: ESYS_TR, session_2: ESYS_TR,
        session_3: ESYS_TR, persistent_handle: TPMI_DH_PERSISTENT, new_object_handle: *mut ESYS_TR,
    ) -> TSS2_RC;
    fn Esys_PolicyAuthValue(
        context: *mut ESYS_CONTEXT, policy_session: ESYS_TR, session_1: ESYS_TR, session_2: ESYS_TR,
        session_3: ESYS_TR,
    ) -> TSS2_RC;
    fn Esys_PolicyCommandCode(
        context: *mut ESYS_CONTEXT, policy_session: ESYS_TR, session_1: ESYS_TR, session_2: ESYS_TR,
        session_3: ESYS_TR, code: TPM2_CC,
    ) -> TSS2_RC;
    fn Esys_PolicyPCR(
        context: *mut ESYS_CONTEXT, policy_session: ESYS_TR, session_1: ESYS_TR, session_2: ESYS_TR,
        session_3: ESYS_TR, pcr_digest: *const TPM2B_DIGEST, pcrs: *const TPML_PCR_SELECTION,
    ) -> TSS2_RC;
    fn Esys_PCR_Read(
        context: *mut ESYS_CONTEXT, session_1: ESYS_TR, session_2: ESYS_TR, session_3: ESYS_TR,
        pcr_selection_in: *const TPML_PCR_SELECTION, pcr_update_counter: *mut UINT32,
        pcr_selection_out: *mut *mut TPML_PCR_SELECTION, pcr_values: *mut *mut TPML_DIGEST,
    ) -> TSS2_RC;
}

forward! { marshal:
    fn Tss2_MU_TPMT_PUBLIC_Marshal(
        src: *const TPMT_PUBLIC, buffer: *mut u8, buffer_size: size_t, offset: *mut size_t,
    ) -> TSS2_RC;
    fn Tss2_MU_TPMT_PUBLIC_Unmarshal(
        buffer: *const u8, buffer_size: size_t, offset: *mut size_t, dest: *mut TPMT_PUBLIC,
    ) -> TSS2_RC;
}
