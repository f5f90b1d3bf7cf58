"""The server beside nginx: requests per second and their tail, what a refresh each second does to it, and its memory."""

import http.client
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time

from measure import table
from parts import ARNS, KEYANCHOR, Sandbox, Token

SECONDS = int(os.environ.get("KEYANCHOR_BENCH_SECONDS", "6"))
TURNS = 5
CONNECTIONS = 64
REQUESTS, TOKENS, IDLE = 1_000_000, 100_000, 1_000
LISTING = "/latest/meta-data/iam/security-credentials/"
# What wrk counts, in a form that needs no guessing of units: requests, microseconds, milliseconds, failures.
REPORT = """
done = function(summary, latency)
    local errors = summary.errors
    io.write(string.format("report %d %d %f %f %d\\n", summary.requests, summary.duration, latency:percentile(99) / 1000,
        latency:percentile(99.9) / 1000, errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


class Load:
    """wrk: one thread, so that as much as possible of the machine is left to who answers."""

    def __init__(self, folder):
        self.script = folder / "report.lua"
        self.script.write_text(REPORT)
        self.put = folder / "put.lua"
        self.put.write_text('wrk.method = "PUT"\n' + REPORT)

    def __call__(self, url, headers=(), script=None, seconds=SECONDS, connections=CONNECTIONS):
        words = [word for header in headers for word in ("-H", header)]
        done = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", *words, "-s", str(script or self.script), url],
                              capture_output=True, text=True, check=True)
        report = next(line.split()[1:] for line in done.stdout.splitlines() if line.startswith("report "))
        requests, microseconds, p99, p999, failures = map(float, report)
        if failures:
            sys.exit(f"bench: {failures:.0f} of {requests:.0f} requests to {url} failed")
        return {"requests": requests, "rate": requests / microseconds * 1e6, "p99": p99, "p99.9": p999}


class Server:
    """keyanchor serve, until the with block ends."""

    def __init__(self, sandbox, *identity, env=None):
        self.command = [str(KEYANCHOR), "serve", "--port", "0", *ARNS, "--endpoint", sandbox.endpoint, "--ca-bundle", sandbox.ca,
                        *map(str, identity)]
        self.env = env

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stderr=subprocess.PIPE, text=True, env=self.env)
        said = [self.process.stderr.readline() for _ in range(3)]
        if "http://" not in said[-1]:
            sys.exit("bench: serve did not start:\n" + "".join(said))
        self.port = int(said[-1].rsplit(":", 1)[1])
        # Whatever else it says must not fill the pipe.
        threading.Thread(target=self.process.stderr.read, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def ask(self, method, path, headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request(method, path, headers=headers)
        answer = connection.getresponse().read()
        connection.close()
        return answer

    def session(self):
        return {"X-aws-ec2-metadata-token": self.ask("PUT", "/latest/api/token", {}).decode()}

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def resident(self):
        """MiB."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1]) / 1024


class Nginx:
    """Two workers, no access log, one static file; connections live as long as the client wants."""

    def __init__(self, folder, content):
        self.folder = folder
        folder.mkdir()
        (folder / "document").write_bytes(content)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        (folder / "nginx.conf").write_text(
            f"daemon off; worker_processes 2; pid {folder}/pid; error_log {folder}/error;\n"
            + ("user root;\n" if os.geteuid() == 0 else "")
            + "events { worker_connections 1024; }\n"
            + "http { access_log off; sendfile on; keepalive_requests 1000000000; default_type application/json;\n"
            + "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
            + f"server {{ listen 127.0.0.1:{self.port}; root {folder}; }} }}\n")

    def __enter__(self):
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        self.process = subprocess.Popen([program, "-p", str(self.folder), "-e", f"{self.folder}/error",
                                         "-c", str(self.folder / "nginx.conf")])
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return self
            except ConnectionRefusedError:
                if self.process.poll() is not None:
                    sys.exit("bench: nginx did not start")
                time.sleep(0.01)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def alternating(cases):
    """Medians of alternating runs, and the range of the rate."""
    taken = {name: [] for name in cases}
    for _ in range(TURNS):
        for name, case in cases.items():
            taken[name].append(case())
    medians = {name: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for name, runs in taken.items()}
    for name, runs in taken.items():
        medians[name]["range"] = f"{min(run['rate'] for run in runs):.0f}-{max(run['rate'] for run in runs):.0f}"
    return medians


def refreshing(server, load):
    """A load under which every role is refreshed each second."""
    over = threading.Event()

    def nudge():
        while not over.wait(1):
            server.process.send_signal(signal.SIGHUP)

    nudger = threading.Thread(target=nudge)
    nudger.start()
    try:
        return load()
    finally:
        over.set()
        nudger.join()


def speed(folder, server, load):
    path = f"{LISTING}Bench"
    session = server.session()
    headers = [f"{name}: {value}" for name, value in session.items()]
    content = server.ask("GET", path, session)

    def ask():
        return load(server.url(path), headers)

    with Nginx(folder / "nginx", content) as nginx:
        medians = alternating({"nginx": lambda: load(f"http://127.0.0.1:{nginx.port}/document"), "serve": ask})
    ours, theirs = medians["serve"], medians["nginx"]
    table(f"The credential document of {len(content)} octets at {CONNECTIONS} connections, medians of {TURNS} alternating runs of {SECONDS} s", [
        ("who", "requests/s", "range", "p99 ms", "aimed at"),
        ("nginx, static file", f"{theirs['rate']:.0f}", theirs["range"], f"{theirs['p99']:.2f}", ""),
        ("keyanchor serve", f"{ours['rate']:.0f}", ours["range"], f"{ours['p99']:.2f}", "no less requests, no more ms"),
    ])
    medians = alternating({"quiet": ask, "refreshing": lambda: refreshing(server, ask)})
    quiet, busy = medians["quiet"]["p99.9"], medians["refreshing"]["p99.9"]
    table("The same with a refresh each second", [
        ("load", "requests/s", "p99.9 ms", "ratio", "aimed at"),
        ("without refreshes", f"{medians['quiet']['rate']:.0f}", f"{quiet:.2f}", "", ""),
        ("a refresh each second", f"{medians['refreshing']['rate']:.0f}", f"{busy:.2f}", f"{busy / quiet:.2f}", "1.50"),
    ])


def repeated(amount, load):
    done = 0
    while done < amount:
        done += load()["requests"]


def idle(server):
    """MiB after a moment of rest."""
    time.sleep(1)
    return server.resident()


def held(server):
    """MiB more for connections that each have asked once and stay."""
    before, connections = idle(server), []
    for _ in range(IDLE):
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("PUT", "/latest/api/token")
        connection.getresponse().read()
        connections.append(connection)
    more = server.resident() - before
    for connection in connections:
        connection.close()
    return more


def growth(server, load):
    """MiB more than at rest after many requests and tokens."""
    before = idle(server)
    headers = [f"{name}: {value}" for name, value in server.session().items()]
    repeated(REQUESTS, lambda: load(server.url(f"{LISTING}Bench"), headers))
    repeated(TOKENS, lambda: load(server.url("/latest/api/token"), script=load.put, seconds=2))
    return idle(server) - before


def memory(start, on_token, load):
    """Each of them on a server that has done nothing before."""
    def fresh(measure):
        with start() as server:
            return f"{measure(server):.1f}"

    with on_token as server:
        softhsm = f"{idle(server):.1f}"
    table("Memory of the server", [
        ("memory", "MiB", "aimed at"),
        ("idle, file key", fresh(idle), "8"),
        ("idle, SoftHSM", softhsm, "14"),
        (f"more for {IDLE} idle connections", fresh(held), "20"),
        (f"more after {REQUESTS} requests and {TOKENS} tokens", fresh(lambda server: growth(server, load)), "4"),
    ])


def serving(folder, pki, softhsm):
    load = Load(folder)
    key, certificate = pki.file_key("serving", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    identity = ("--private-key", key, "--certificate", certificate)
    token = Token(folder / "serving", softhsm)
    token.add_pair(pki, "EC:prime256v1", "01", "server")
    with Sandbox(pki.root) as sandbox:
        on_token = Server(sandbox, "--pkcs11", "pkcs11:token=bench", "--pkcs11-lib", softhsm, env=token.env)
        memory(lambda: Server(sandbox, *identity), on_token, load)
        with Server(sandbox, *identity) as server:
            speed(folder, server, load)
