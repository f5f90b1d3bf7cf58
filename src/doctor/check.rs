//! The checks, in the order of the road. Their names are part of the command's output.

/// Declares the checks once, with their names, in the order of the road.
macro_rules! checks {
    ($($variant:ident = $name:literal: $meaning:literal,)*) => {
        /// A check.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Check {
            $(#[doc = $meaning] $variant,)*
        }

        impl Check {
            /// Every check, in the order of the road.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name, which stays the same.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

checks! {
    ConfigurationFile = "configuration.file": "the configuration file can be read, and says nothing unknown",
    ConfigurationAccess = "configuration.access": "nobody else can change it",
    EnvironmentSettings = "environment.settings": "variables that change what the commands do",
    EnvironmentCredentials = "environment.credentials": "no variable gives SDKs other credentials",
    EnvironmentProfile = "environment.profile": "no file gives the profile other credentials",
    Identity = "identity": "flags and file name a key and a certificate",
    DeviceFile = "device.file": "the key file can be read, and by whom",
    DeviceLibrary = "device.library": "the library for the device is there",
    DeviceConfiguration = "device.configuration": "p11-kit's proxy has modules to load",
    DeviceStart = "device.start": "the library loads and starts",
    DeviceReach = "device.reach": "the TPM answers and may be used",
    DeviceToken = "device.token": "the token is there",
    SecretTries = "secret.tries": "no wrong PIN was counted",
    SecretUserPin = "secret.user-pin": "the user PIN has a source",
    SecretContextPin = "secret.context-pin": "the context PIN has a source",
    SecretTpmKeyPassword = "secret.tpm-key-password": "the TPM key's password has a source",
    SecretTpmParentPassword = "secret.tpm-parent-password": "the TPM parent's password has a source",
    CertificateFound = "certificate.found": "the certificate is there and can be read",
    CertificateValidity = "certificate.validity": "it is valid now, and for some time",
    CertificateVersion = "certificate.version": "it is of X.509 version 3",
    CertificateEndEntity = "certificate.end-entity": "it is no CA's",
    CertificateKeyUsage = "certificate.key-usage": "its key may make signatures",
    CertificateSignatureHash = "certificate.signature-hash": "it was signed over SHA-256 or stronger",
    CertificateSubject = "certificate.subject": "it names somebody",
    CertificateKeyType = "certificate.key-type": "its key is of a type that can sign requests",
    KeyFound = "key.found": "the private key is there",
    KeyCertificate = "key.certificate": "it is the key of the certificate",
    KeyAttributes = "key.attributes": "it cannot leave the device",
    KeyMechanism = "key.mechanism": "the device signs with keys of its type",
    KeySignature = "key.signature": "it signs, and the signature verifies",
    ChainPath = "chain.path": "what is sent with the leaf",
    ChainAnchor = "chain.anchor": "the path ends at the trust anchor",
    ChainIssuers = "chain.issuers": "the issuers are CAs as Roles Anywhere wants them",
    ChainValidity = "chain.validity": "the issuers are valid now, and for some time",
    SessionArns = "session.arns": "the ARNs can be read and fit together",
    SessionRegion = "session.region": "the region is the trust anchor's",
    NetworkEndpoint = "network.endpoint": "where requests go, and through which proxy",
    NetworkTrust = "network.trust": "the trusted certificates can be read",
    NetworkName = "network.name": "the name resolves",
    NetworkConnection = "network.connection": "somebody accepts connections there",
    NetworkTunnel = "network.tunnel": "the proxy connects to the endpoint",
    NetworkTls = "network.tls": "TLS, and who vouches for the endpoint",
    NetworkAnswer = "network.answer": "HTTP is spoken",
    Clock = "clock": "this machine's clock agrees with the service's",
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_told_apart_and_documented() {
        let names: HashSet<_> = Check::ALL.iter().map(|check| check.name()).collect();
        assert_eq!(names.len(), Check::ALL.len());
        let page = include_str!("../../docs/doctor.md");
        for name in names {
            assert!(page.contains(&format!("| `{name}` |")), "{name} is not in docs/doctor.md");
        }
    }
}
