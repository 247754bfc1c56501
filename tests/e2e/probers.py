"""What testssl.sh, sslyze and OpenSSL's client say of a server, in the same words as `vaguemestre control tls --json`, so that they can be compared.

Each answers a dictionary: `suites` (codes by version), `curves` and `primes` (bits), `client_certificate`, and what else it knows: `compression`,
`secure_renegotiation`, `extended_master_secret`, `fallback_refused`. What a tool does not look at is not in it.
"""

import functools
import json
import re
import shutil
import tempfile
from pathlib import Path

from space import run

VERSIONS = ("SSL 2.0", "SSL 3.0", "TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3")
EVERYTHING = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"
# What OpenSSL's client calls the versions.
CLIENT = {"TLS 1.0": "-tls1", "TLS 1.1": "-tls1_1", "TLS 1.2": "-tls1_2", "TLS 1.3": "-tls1_3"}
# Suites that Debian's OpenSSL has no names for (RFC 2246, RFC 4492).
OTHERS = {"TLS_RSA_WITH_RC4_128_SHA": "0x0005", "TLS_RSA_WITH_RC4_128_MD5": "0x0004", "TLS_RSA_WITH_3DES_EDE_CBC_SHA": "0x000A",
          "TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA": "0x0016", "TLS_ECDHE_RSA_WITH_RC4_128_SHA": "0xC011",
          "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA": "0xC012"}
# The same curve, as the registry, X9.62 and OpenSSL call it.
CURVES = {"prime256v1": "secp256r1", "P-256": "secp256r1", "P-384": "secp384r1", "P-521": "secp521r1", "X25519": "x25519", "X448": "x448"}


@functools.cache
def codes():
    """Code by the registry's name."""
    found = dict(OTHERS)
    for line in run("openssl", "ciphers", "-V", "-stdname", EVERYTHING).stdout.splitlines():
        if match := re.match(r"\s*0x(..),0x(..) - (\S+)", line):
            found[match[3]] = f"0x{match[1]}{match[2]}"
    return found


def curve(name):
    return CURVES.get(name, name)


def of_ours(survey):
    """The same of our own survey."""
    return {
        "suites": {v["version"]: {s["code"] for s in v["suites"]} for v in survey["versions"] if v["state"] == "accepted"},
        # With TLS 1.3 alone, curves are groups of key shares; the others have one word for both.
        "curves": set(survey["curves"]) or {group for group in survey["shares"] if not group.startswith("ffdhe")}, "primes": {prime["bits"] for prime in survey["primes"]},
        "client_certificate": survey["client_certificate"] is not None, "compression": survey["compression"],
        "secure_renegotiation": survey["secure_renegotiation"], "extended_master_secret": survey["extended_master_secret"],
        "fallback_refused": survey["fallback_refused"],
    }


def of_openssl(where):
    """Version by version, the suites that OpenSSL's client can agree on with the server."""
    answer = {}
    for name, option in CLIENT.items():
        listed = run("openssl", "ciphers", "-V", "-s", option, EVERYTHING).stdout
        for line in listed.splitlines():
            found = re.match(r"\s*0x(..),0x(..) - (\S+)", line)
            code, cipher = f"0x{found[1]}{found[2]}", found[3]
            suites = ["-ciphersuites", cipher] if name == "TLS 1.3" else ["-cipher", f"{cipher}:@SECLEVEL=0"]
            done = run("openssl", "s_client", "-connect", where, option, *suites, input="", ok=None)
            # A server that asks for a certificate ends the handshake after it has chosen.
            if re.search(rf"Cipher is {re.escape(cipher)}\b", done.stdout) or re.search(rf"Cipher\s*: {re.escape(cipher)}\b", done.stdout):
                answer.setdefault(name, set()).add(code)
    return {"suites": answer}


def has_sslyze():
    return shutil.which("sslyze") is not None and run("sslyze", "--help", ok=None).returncode == 0


def of_sslyze(where, name):
    with tempfile.TemporaryDirectory(prefix="vaguemestre-sslyze-") as folder:
        out = Path(folder) / "sslyze.json"
        run("sslyze", "--sslv2", "--sslv3", "--tlsv1", "--tlsv1_1", "--tlsv1_2", "--tlsv1_3", "--elliptic_curves", "--compression", "--reneg", "--ems",
            "--fallback", "--slow_connection", "--mozilla_config", "disable", "--sni", name, "--quiet", "--json_out", out, where, ok=None, timeout=600)
        server = json.loads(out.read_text())["server_scan_results"][0]
    scan = server["scan_result"]
    if scan is None:
        raise AssertionError(f"sslyze could not connect: {server.get('connectivity_error_trace')}")
    answer = {"suites": {}, "primes": set()}
    for version in VERSIONS:
        key = version.lower().replace(" ", "_").replace(".", "_") + "_cipher_suites"
        result = scan[key]["result"]
        assert result is not None, f"sslyze: {key}: {scan[key]}"
        for suite in result["accepted_cipher_suites"]:
            answer["suites"].setdefault(version, set()).add(codes()[suite["cipher_suite"]["name"]])
            # The fields of 1.3 are named, never sent.
            key_info = suite["ephemeral_key"]
            if key_info and key_info["type_name"] == "DH" and version != "TLS 1.3":
                answer["primes"].add(key_info["size"])
    requirement = server["connectivity_result"]["client_auth_requirement"]
    answer["client_certificate"] = requirement != "DISABLED"
    for field, key, what in (("compression", "tls_compression", "supports_compression"),
                             ("secure_renegotiation", "session_renegotiation", "supports_secure_renegotiation"),
                             ("extended_master_secret", "tls_extended_master_secret", "supports_ems_extension"),
                             ("fallback_refused", "tls_fallback_scsv", "supports_fallback_scsv")):
        if result := scan[key]["result"]:
            answer[field] = result[what]
    if (result := scan["elliptic_curves"]["result"]) and result["supported_curves"] is not None:
        answer["curves"] = {curve(found["name"]) for found in result["supported_curves"]}
    return answer


def has_testssl():
    return shutil.which("testssl") is not None


def of_testssl(where):
    with tempfile.TemporaryDirectory(prefix="vaguemestre-testssl-") as folder:
        out = Path(folder) / "testssl.json"
        # Protocols, suites by protocol, forward secrecy, defaults (client certificate), renegotiation, compression, second tries. Warnings off:
        # where its own OpenSSL cannot connect (a prime of 1024 bits), it would stop, though it asks by sockets of its own.
        run("testssl", "--quiet", "--warnings", "off", "-n", "none", "-p", "-E", "-f", "-S", "-R", "-C", "-Z", "--jsonfile", out, where, ok=None, timeout=900)
        entries = {entry["id"]: entry["finding"] for entry in json.loads(out.read_text())}
    answer = {"suites": {}}
    for key, said in entries.items():
        if found := re.match(r"cipher-(ssl|tls)(\d)(?:_(\d))?_x(\w+)", key):
            version = f"{found[1].upper()} {found[2]}.{found[3] or 0}"
            answer["suites"].setdefault(version, set()).add(f"0x{int(found[4], 16):04X}")
    for key in ("PFS_ECDHE_curves", "FS_ECDHE_curves"):
        if key in entries:
            answer["curves"] = {curve(name) for name in entries[key].split()}
    if "clientAuth" in entries:
        answer["client_certificate"] = entries["clientAuth"] != "none"
    if "CRIME_TLS" in entries:
        answer["compression"] = not entries["CRIME_TLS"].startswith("not vulnerable")
    if "secure_renego" in entries:
        answer["secure_renegotiation"] = entries["secure_renego"] == "supported"
    return answer


def differences(ours, theirs, *fields):
    """What is not the same, of what both know: field → (only ours, only theirs) or (ours, theirs)."""
    found = {}
    for field in fields or [field for field in theirs if field in ours]:
        left, right = ours[field], theirs[field]
        if field == "suites":
            for version in VERSIONS:
                a, b = left.get(version, set()), right.get(version, set())
                if a != b:
                    found[version] = (sorted(a - b), sorted(b - a))
        elif isinstance(left, set):
            if left != right:
                found[field] = (sorted(left - right), sorted(right - left))
        elif left is not None and left != right:
            found[field] = (left, right)
    return found
