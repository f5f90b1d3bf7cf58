"""Fills a SoftHSM token with key pairs and certificates in one process: pkcs11-tool needs one for each object.

filling.py MODULE LABEL PIN PAIRS CERTIFICATES CERTIFICATE.der
"""

import ctypes
import sys

CKA_CLASS, CKA_TOKEN, CKA_PRIVATE, CKA_LABEL, CKA_VALUE, CKA_CERTIFICATE_TYPE = 0, 1, 2, 3, 0x11, 0x80
CKA_SUBJECT, CKA_SENSITIVE, CKA_ID, CKA_SIGN, CKA_VERIFY, CKA_EC_PARAMS = 0x101, 0x103, 0x102, 0x108, 0x10A, 0x180
CKM_EC_KEY_PAIR_GEN, CKF_SERIAL_SESSION, CKF_RW_SESSION, CKU_USER, CKO_CERTIFICATE = 0x1040, 4, 2, 1, 1
P256 = bytes.fromhex("06082a8648ce3d030107")


class Attribute(ctypes.Structure):
    _fields_ = [("type", ctypes.c_ulong), ("value", ctypes.c_char_p), ("length", ctypes.c_ulong)]


class Mechanism(ctypes.Structure):
    _fields_ = [("type", ctypes.c_ulong), ("parameter", ctypes.c_void_p), ("length", ctypes.c_ulong)]


def template(attributes):
    def octets(value):
        if isinstance(value, bool):
            return bytes([value])
        return value if isinstance(value, bytes) else int(value).to_bytes(ctypes.sizeof(ctypes.c_ulong), sys.byteorder)

    entries = [(kind, octets(value)) for kind, value in attributes.items()]
    return (Attribute * len(entries))(*[Attribute(kind, value, len(value)) for kind, value in entries])


def main(module, label, pin, pairs, certificates, der):
    token = ctypes.CDLL(module)

    def call(function, *arguments):
        answer = getattr(token, function)(*arguments)
        if answer:
            sys.exit(f"filling: {function} answered {answer:#x}")

    call("C_Initialize", None)
    slots, count = (ctypes.c_ulong * 64)(), ctypes.c_ulong(64)
    call("C_GetSlotList", ctypes.c_ubyte(1), slots, ctypes.byref(count))
    info = ctypes.create_string_buffer(1024)
    for slot in slots[:count.value]:
        call("C_GetTokenInfo", ctypes.c_ulong(slot), info)
        if info.raw[:32].decode(errors="replace").rstrip() == label:
            break
    else:
        sys.exit(f"filling: no token {label}")
    session = ctypes.c_ulong()
    call("C_OpenSession", ctypes.c_ulong(slot), ctypes.c_ulong(CKF_SERIAL_SESSION | CKF_RW_SESSION), None, None,
         ctypes.byref(session))
    call("C_Login", session, ctypes.c_ulong(CKU_USER), pin.encode(), ctypes.c_ulong(len(pin)))
    made = ctypes.c_ulong(), ctypes.c_ulong()
    mechanism = Mechanism(CKM_EC_KEY_PAIR_GEN, None, 0)
    for number in range(int(pairs)):
        names = {CKA_ID: number.to_bytes(4, "big"), CKA_LABEL: f"key-{number}".encode()}
        public = template({CKA_TOKEN: True, CKA_PRIVATE: False, CKA_VERIFY: True, CKA_EC_PARAMS: P256, **names})
        private = template({CKA_TOKEN: True, CKA_PRIVATE: True, CKA_SENSITIVE: True, CKA_SIGN: True, **names})
        call("C_GenerateKeyPair", session, ctypes.byref(mechanism), public, ctypes.c_ulong(len(public)), private,
             ctypes.c_ulong(len(private)), ctypes.byref(made[0]), ctypes.byref(made[1]))
    with open(der, "rb") as file:
        value = file.read()
    for number in range(int(certificates)):
        entries = template({
            CKA_CLASS: CKO_CERTIFICATE, CKA_CERTIFICATE_TYPE: 0, CKA_TOKEN: True, CKA_PRIVATE: False,
            CKA_SUBJECT: b"\x30\x00", CKA_VALUE: value, CKA_ID: number.to_bytes(4, "big"),
            CKA_LABEL: f"certificate-{number}".encode(),
        })
        call("C_CreateObject", session, entries, ctypes.c_ulong(len(entries)), ctypes.byref(made[0]))
    call("C_Finalize", None)


main(*sys.argv[1:])
