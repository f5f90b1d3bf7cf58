"""The real parts that measurements stand on: a CA, tokens, the sandbox, a software TPM, a slow link."""

import fcntl
import heapq
import json
import os
import pathlib
import select
import socket
import struct
import subprocess
import sys
import threading
import time

from measure import run

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
KEYANCHOR = REPOSITORY / "target/release/keyanchor"
FAULT_MODULE = REPOSITORY / "target/release/libkeyanchor_fault_module.so"
TEST_PIN = "bench-pin-1234"
ARNS = [
    "--trust-anchor-arn", "arn:aws:rolesanywhere:us-east-1:111122223333:trust-anchor/11111111-2222-4333-8444-555555555555",
    "--profile-arn", "arn:aws:rolesanywhere:us-east-1:111122223333:profile/0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f1",
    "--role-arn", "arn:aws:iam::111122223333:role/Bench",
]


class Pki:
    """A root, an intermediate-free chain, and certificates for keys in files and on tokens, all made by openssl."""

    def __init__(self, folder):
        self.folder = folder
        self.root = folder / "root.pem"
        self.root_key = folder / "root.key"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90",
            "-keyout", self.root_key, "-out", self.root, "-subj", "/CN=Bench Root",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        self.extensions = folder / "leaf.ext"
        self.extensions.write_text("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
                                   "extendedKeyUsage=clientAuth\n")

    def certify(self, name, public_key):
        out = self.folder / f"{name}.pem"
        run("openssl", "x509", "-new", "-force_pubkey", public_key, "-subj", f"/CN={name}", "-CA", self.root,
            "-CAkey", self.root_key, "-days", "90", "-extfile", self.extensions, "-out", out)
        return out

    def file_key(self, name, algorithm, *options):
        key = self.folder / f"{name}.key"
        public = self.folder / f"{name}.pub"
        run("openssl", "genpkey", "-algorithm", algorithm, *options, "-out", key)
        run("openssl", "pkey", "-in", key, "-pubout", "-out", public)
        return key, self.certify(name, public)


class Token:
    """One SoftHSM folder with one token in it, beside the empty slot that SoftHSM always shows."""

    def __init__(self, folder, module):
        self.module = module
        objects = folder / "tokens"
        objects.mkdir(parents=True)
        self.folder = folder
        configuration = folder / "softhsm2.conf"
        configuration.write_text(f"directories.tokendir = {objects}\nobjectstore.backend = file\nlog.level = ERROR\n")
        self.env = dict(os.environ, SOFTHSM2_CONF=str(configuration), KEYANCHOR_PIN=TEST_PIN)
        run("softhsm2-util", "--init-token", "--free", "--label", "bench", "--pin", TEST_PIN, "--so-pin", TEST_PIN,
            env=self.env)

    def tool(self, *arguments):
        return run("pkcs11-tool", "--module", self.module, "--token-label", "bench", "--login", "--pin", TEST_PIN,
                   *arguments, env=self.env)

    def add_pair(self, pki, kind, identifier, label):
        self.tool("--keypairgen", "--key-type", kind, "--id", identifier, "--label", label)
        der, public = self.folder / f"{label}.der", self.folder / f"{label}.pub"
        self.tool("--read-object", "--type", "pubkey", "--id", identifier, "--output-file", der)
        run("openssl", "pkey", "-pubin", "-inform", "DER", "-in", der, "-out", public)
        self.add_certificate(pki.certify(label, public), identifier, label)

    def fill(self, pairs, certificates, pem):
        der = self.folder / "filling.crt"
        run("openssl", "x509", "-in", pem, "-outform", "DER", "-out", der)
        filling = pathlib.Path(__file__).with_name("filling.py")
        run(sys.executable, filling, self.module, "bench", TEST_PIN, pairs, certificates, der, env=self.env)

    def add_certificate(self, pem, identifier, label):
        der = self.folder / f"{label}.crt"
        run("openssl", "x509", "-in", pem, "-outform", "DER", "-out", der)
        self.tool("--write-object", der, "--type", "cert", "--id", identifier, "--label", label)


class Sandbox:
    """The service, until the with block ends."""

    def __init__(self, root, *arguments, prefix=()):
        self.command = [*prefix, str(KEYANCHOR), "sandbox", "--trust-anchor", str(root), *arguments]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        facts = dict(line.strip().split(": ", 1) for line in (self.process.stdout.readline() for _ in range(2)))
        self.endpoint, self.ca = facts["endpoint"], facts["ca"]
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def vend(self, *identity):
        return [str(KEYANCHOR), "credential-process", *ARNS, "--endpoint", self.endpoint, "--ca-bundle", self.ca,
                *map(str, identity)]

    def curl(self, folder):
        body = folder / "body.json"
        body.write_text(json.dumps({"durationSeconds": 3600}))
        return ["curl", "--silent", "--cacert", self.ca, "--header", "Content-Type: application/json",
                "--data", f"@{body}", "--output", "/dev/null", self.endpoint + "/sessions"]


class Tpm:
    """A software TPM, and beside its socket another one that counts the commands that go through it."""

    RETRY = {0x922, 0x908, 0x90A}

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.socket, self.tap = folder / "swtpm.sock", folder / "tap.sock"
        self.count = 0

    def __enter__(self):
        self.process = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.folder}", "--flags", "startup-clear",
             "--server", f"type=unixio,path={self.socket}", "--ctrl", f"type=unixio,path={self.socket}.ctrl"],
            stderr=subprocess.DEVNULL)
        while not (self.socket.exists() and pathlib.Path(f"{self.socket}.ctrl").exists()):
            time.sleep(0.01)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.tap))
        listener.listen()
        threading.Thread(target=self.serve, args=(listener,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def serve(self, listener):
        while True:
            client, _ = listener.accept()
            tpm = socket.socket(socket.AF_UNIX)
            tpm.connect(str(self.socket))
            with client, tpm:
                while command := self.message(client):
                    tpm.sendall(command)
                    response = self.message(tpm)
                    client.sendall(response)
                    self.count += struct.unpack(">I", response[6:10])[0] not in self.RETRY

    @staticmethod
    def message(stream):
        """A command or response: tag, size of the whole, code, the rest (TPM 2.0 part 1, 18.2)."""
        data = stream.recv(10, socket.MSG_WAITALL)
        if len(data) < 10:
            return b""
        return data + stream.recv(struct.unpack(">I", data[2:6])[0] - 10, socket.MSG_WAITALL)

    def tool(self, *command):
        env = dict(os.environ, TPM2TOOLS_TCTI=f"swtpm:path={self.socket}", TPM2OPENSSL_TCTI=f"swtpm:path={self.socket}")
        return run(*command, env=env, cwd=self.folder)

    def persist_primary(self):
        self.tool("tpm2_createprimary", "-Q", "-C", "o", "-g", "sha256", "-G", "ecc", "-c", "primary.ctx",
                  "-a", "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt")
        self.tool("tpm2_evictcontrol", "-Q", "-C", "o", "-c", "primary.ctx", "0x81000001")
        self.tool("tpm2_flushcontext", "-t")

    def provider_key(self, name, *options):
        provider = ["-provider", "tpm2", "-provider", "default", "-propquery", "?provider=tpm2"]
        self.tool("openssl", "genpkey", *provider, "-algorithm", "EC", "-pkeyopt", "group:P-256", *options, "-out", name)
        self.tool("openssl", "pkey", *provider, "-in", name, "-pubout", "-out", f"{name}.pub")
        return self.folder / name, self.folder / f"{name}.pub"

    def persistent_key(self):
        self.tool("tpm2_create", "-Q", "-C", "0x81000001", "-G", "ecc256", "-u", "key.pub", "-r", "key.priv",
                  "-a", "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign")
        self.tool("tpm2_load", "-Q", "-C", "0x81000001", "-u", "key.pub", "-r", "key.priv", "-c", "key.ctx")
        self.tool("tpm2_evictcontrol", "-Q", "-C", "o", "-c", "key.ctx", "0x81000101")
        self.tool("tpm2_flushcontext", "-t")
        self.tool("tpm2_readpublic", "-Q", "-c", "0x81000101", "-f", "pem", "-o", "handle.pub")
        return "handle:0x81000101", self.folder / "handle.pub"


class SlowLink:
    """Two point-to-point interfaces, one of them in a network namespace of its own, and this process as the wire between
    them: each packet waits half a round trip. So the TCP handshake costs what it costs in the field."""

    NAMESPACE = f"keyanchor-bench-{os.getpid()}"
    NEAR, FAR = "10.213.7.1", "10.213.7.2"

    def __init__(self, round_trip_ms):
        self.delay = round_trip_ms / 2000

    def __enter__(self):
        run("ip", "netns", "add", self.NAMESPACE)
        near_name, far_name = f"kan{os.getpid()}"[:15], f"kaf{os.getpid()}"[:15]
        near, far = self.interface(near_name), self.interface(far_name)
        run("ip", "link", "set", far_name, "netns", self.NAMESPACE)
        inside = ["ip", "netns", "exec", self.NAMESPACE]
        run("ip", "addr", "add", self.NEAR, "peer", self.FAR, "dev", near_name)
        run("ip", "link", "set", near_name, "up")
        run(*inside, "ip", "addr", "add", self.FAR, "peer", self.NEAR, "dev", far_name)
        run(*inside, "ip", "link", "set", far_name, "up")
        self.ends = (near, far)
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=self.carry, args=(source, sink), daemon=True).start()
        return self

    def __exit__(self, *_):
        run("ip", "netns", "del", self.NAMESPACE)
        os.close(self.ends[0])

    @staticmethod
    def interface(name):
        tun, no_header, set_interface = 0x0001, 0x1000, 0x400454CA
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(descriptor, set_interface, struct.pack("16sH", name.encode(), tun | no_header))
        return descriptor

    def carry(self, source, sink):
        waiting = []
        while True:
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                try:
                    os.write(sink, heapq.heappop(waiting)[2])
                except OSError:
                    return
            pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else 1.0
            if select.select([source], [], [], pause)[0]:
                try:
                    packet = os.read(source, 65536)
                except OSError:
                    return
                heapq.heappush(waiting, (time.monotonic() + self.delay, len(waiting), packet))
