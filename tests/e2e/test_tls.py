"""The handshakes of every port, with OpenSSL's client and with a ClientHello written here (LPS-TLS, LPS-CERT, OPE-MTLS)."""

import os
import re
import socket
import struct

from space import PATIENCE, SpaceTest, main, run
from wire import Wire

# LPS-TLS: the six suites of Référentiel #2, with OpenSSL's names.
SIX = {
    "ECDHE-RSA-AES256-GCM-SHA384": 0xC030,
    "ECDHE-RSA-AES128-GCM-SHA256": 0xC02F,
    "ECDHE-RSA-AES256-SHA384": 0xC028,
    "ECDHE-RSA-AES128-SHA256": 0xC027,
    "DHE-RSA-AES256-GCM-SHA384": 0x009F,
    "DHE-RSA-AES128-GCM-SHA256": 0x009E,
}
# Where there is STARTTLS, and what begins it.
ENTRANCES = {"imap": "imap", "submission": "smtp", "imap_app": "imap", "submission_app": "smtp", "mx": "smtp"}
# Every suite ever registered for TLS 1.0 to 1.2 lies in these ranges; the two signalling values are no suites.
SUITES = [code for block in (range(0x0000, 0x0100), range(0xC000, 0xC0B8), range(0xCCA0, 0xCCB0), range(0xD000, 0xD008),
                             range(0x1300, 0x1308)) for code in block if code != 0x00FF]
ALERT, HANDSHAKE = 21, 22


def extension(number, content):
    return struct.pack("!HH", number, len(content)) + content


def client_hello(version, suites, key_exchange_groups=(0x001D, 0x0017, 0x0018, 0x0100)):
    """A ClientHello of TLS 1.0 to 1.2 that accepts every group and signature, weak ones included."""
    groups = b"".join(struct.pack("!H", group) for group in key_exchange_groups)
    signatures = bytes.fromhex("0804080508060401050106010201020305030603")
    extensions = (extension(0x000A, struct.pack("!H", len(groups)) + groups) + extension(0x000B, b"\x01\x00")
                  + extension(0x000D, struct.pack("!H", len(signatures)) + signatures) + extension(0x0017, b"")
                  + extension(0xFF01, b"\x00"))
    codes = b"".join(struct.pack("!H", code) for code in suites)
    body = (struct.pack("!H", version) + os.urandom(32) + b"\x00" + struct.pack("!H", len(codes)) + codes + b"\x01\x00"
            + struct.pack("!H", len(extensions)) + extensions)
    handshake = b"\x01" + len(body).to_bytes(3, "big") + body
    return struct.pack("!BHH", HANDSHAKE, 0x0301, len(handshake)) + handshake


class Answer:
    """What a server says to a ClientHello."""

    def __init__(self, wire):
        kind, self.version, length = struct.unpack("!BHH", wire.octets(5))
        content = wire.octets(length)
        self.alert = (content[0], content[1]) if kind == ALERT else None
        self.suite = None
        if kind == HANDSHAKE:
            assert content[0] == 2, "a ServerHello comes first"
            self.version = struct.unpack("!H", content[4:6])[0]
            session = content[38]
            self.suite = struct.unpack("!H", content[39 + session:41 + session])[0]


class Handshakes(SpaceTest):
    def begin(self, operator, entrance):
        """A connection that waits for the ClientHello."""
        wire = Wire(self.space.operator(operator)[entrance], timeout=PATIENCE)
        wire.line()
        if ENTRANCES[entrance] == "imap":
            assert b" OK " in wire.imap("STARTTLS")[-1]
        else:
            wire.smtp("EHLO lps.test")
            assert wire.smtp("STARTTLS")[0] == 220
        return wire

    def hello(self, operator, entrance, version, suites, **options):
        with self.begin(operator, entrance) as wire:
            wire.send(client_hello(version, suites, **options))
            return Answer(wire)

    def s_client(self, entrance, *options, ok=True, operator="alpha", material=None):
        """`openssl s_client` to the end of the handshake."""
        where = self.space.operator(operator)[entrance]
        if entrance.endswith("_app") and material is None:
            material = self.space.application(operator)
        if entrance == "mx" and material is None:
            material = self.space.operator("beta" if operator == "alpha" else "alpha")
        certificate = ["-cert", self.space.folder / material["certificate"], "-key", self.space.folder / material["key"],
                       "-cert_chain", self.space.folder / material["certificate"]] if material else []
        name = ["-name", "mx.test"] if ENTRANCES[entrance] == "smtp" else []
        return run("openssl", "s_client", "-connect", f"{where['host']}:{where['port']}", "-starttls", ENTRANCES[entrance], *name,
                   "-CAfile", self.space.ca, "-verify_return_error", "-verify_ip", where["host"], *certificate, *options,
                   ok=ok, input="", timeout=PATIENCE)

    def test_each_of_the_six_suites_is_negotiated(self):
        for entrance in ENTRANCES:
            for suite in SIX:
                with self.subTest(entrance=entrance, suite=suite):
                    told = self.s_client(entrance, "-tls1_2", "-cipher", suite).stdout
                    self.assertIn(f"New, TLSv1.2, Cipher is {suite}", told)
                    self.assertIn("Verify return code: 0 (ok)", told)
                    # ephemeral keys only, of a decent size
                    if suite.startswith("DHE"):
                        self.assertIn("Server Temp Key: DH, 2048 bits", told)
                    else:
                        bits = re.search(r"Server Temp Key: (?:ECDH, [\w-]+|X25519|X448), (\d+) bits", told)
                        self.assertGreaterEqual(int(bits[1]), 253, told)
                    # nothing signed with SHA-1
                    self.assertRegex(told, r"Peer signing digest: SHA(256|384|512)")
                    self.assertRegex(told, r"Server public key is 2048 bit")

    def test_no_other_suite_is_negotiated(self):
        # every code ever registered, one by one: six get a ServerHello, the others an alert and never silence
        for operator, entrance in (("alpha", "imap"), ("alpha", "submission"), ("beta", "mx")):
            accepted = set()
            for code in SUITES:
                answer = self.hello(operator, entrance, 0x0303, [code])
                if answer.suite is not None:
                    self.assertEqual((answer.suite, answer.version), (code, 0x0303))
                    accepted.add(code)
                else:
                    self.assertEqual(answer.alert[0], 2, "fatal")
            self.assertEqual(accepted, set(SIX.values()), entrance)

    def test_names_people_know_are_refused(self):
        for suite in ("AES128-SHA", "AES256-SHA256", "AES128-GCM-SHA256", "ECDHE-RSA-AES256-SHA", "DHE-RSA-AES256-SHA256",
                      "ECDHE-RSA-CHACHA20-POLY1305", "DHE-RSA-CHACHA20-POLY1305", "NULL-SHA256", "ADH-AES256-GCM-SHA384",
                      "AECDH-NULL-SHA", "ECDHE-RSA-NULL-SHA", "DHE-RSA-AES256-CCM8"):
            for entrance in ("imap", "submission", "mx"):
                with self.subTest(entrance=entrance, suite=suite):
                    told = self.s_client(entrance, "-tls1_2", "-cipher", f"{suite}:@SECLEVEL=0", ok=False)
                    self.assertIn("alert handshake failure", told.stderr)

    def test_old_versions_are_refused(self):
        # OPE-TLSVER: 1.0 is tolerated only when configured, which the sandbox does not
        for entrance in ENTRANCES:
            for option in ("-tls1", "-tls1_1"):
                with self.subTest(entrance=entrance, option=option):
                    told = self.s_client(entrance, option, "-cipher", "ALL:@SECLEVEL=0", ok=False)
                    self.assertIn("alert protocol version", told.stderr)
            for version in (0x0300, 0x0301, 0x0302):
                answer = self.hello("alpha", entrance, version, SUITES)
                # SSL 3.0 had no protocol_version (70), only handshake_failure (40)
                self.assertIn(answer.alert, [(2, 70), (2, 40)] if version == 0x0300 else [(2, 70)])

    def test_tls_1_3_is_accepted(self):
        for entrance in ENTRANCES:
            for suite in ("TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"):
                told = self.s_client(entrance, "-tls1_3", "-ciphersuites", suite).stdout
                self.assertIn(f"New, TLSv1.3, Cipher is {suite}", told)
                self.assertIn("Verify return code: 0 (ok)", told)
            told = self.s_client(entrance, "-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_8_SHA256:@SECLEVEL=0", ok=None)
            self.assertNotIn("Cipher is TLS_AES_128_CCM_8_SHA256", told.stdout)

    def test_small_groups_are_refused(self):
        # secp192r1, sect163k1, secp224r1: under 256 bits
        for group in (0x0013, 0x0001, 0x0015):
            answer = self.hello("alpha", "imap", 0x0303, [0xC030], key_exchange_groups=(group,))
            self.assertIsNone(answer.suite)
            self.assertEqual(answer.alert[0], 2)

    def test_the_whole_chain_is_sent_and_its_names_are_right(self):
        # LPS-CERT
        for operator in ("alpha", "beta"):
            for entrance in ENTRANCES:
                with self.subTest(operator=operator, entrance=entrance):
                    told = self.s_client(entrance, "-showcerts", "-nameopt", "RFC2253", operator=operator).stdout
                    chain = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", told, re.DOTALL)
                    self.assertEqual(len(chain), 2)
                    names = [run("openssl", "x509", "-noout", "-subject", "-issuer", "-nameopt", "RFC2253", "-ext",
                                 "subjectAltName,extendedKeyUsage,crlDistributionPoints,authorityInfoAccess", input=one).stdout
                             for one in chain]
                    organizations = "CN=TEST AC IGC-SANTE ELEMENTAIRE ORGANISATIONS,OU=IGC-SANTE TEST,OU=0002 187512751,O=ASIP-SANTE,C=FR"
                    root = organizations.replace("TEST AC IGC-SANTE ELEMENTAIRE ORGANISATIONS", "TEST AC RACINE IGC-SANTE ELEMENTAIRE")
                    self.assertIn(f"subject={self.space.operator(operator)['dn']}", names[0])
                    self.assertIn(f"issuer={organizations}", names[0])
                    self.assertIn(f"subject={organizations}", names[1])
                    self.assertIn(f"issuer={root}", names[1])
                    self.assertIn(f"DNS:{self.space.operator(operator)[entrance]['name']}", names[0])
                    self.assertIn("TLS Web Server Authentication", names[0])
                    self.assertIn(self.space.json["pki"]["crl_url"], names[0])

    def test_the_revocation_lists_are_published_and_verify(self):
        for url, issuer in ((self.space.json["pki"]["crl_url"], "ELEMENTAIRE ORGANISATIONS"),
                            (self.space.json["pki"]["root_crl_url"], "RACINE")):
            path = self.space.folder / "list.crl"
            run("curl", "-sSf", "-o", path, url)
            told = run("openssl", "crl", "-inform", "DER", "-in", path, "-noout", "-issuer", "-nextupdate", "-CAfile", self.space.ca)
            self.assertIn(issuer, told.stdout)
            self.assertIn("verify OK", told.stderr)
        revoked = self.space.folder / self.space.json["negative"]["revoked"]["certificate"]
        serial = run("openssl", "x509", "-noout", "-serial", "-in", revoked).stdout.strip().split("=")[1]
        path = self.space.folder / "organisations.crl"
        run("curl", "-sSf", "-o", path, self.space.json["pki"]["crl_url"])
        self.assertIn(serial, run("openssl", "crl", "-inform", "DER", "-in", path, "-noout", "-text").stdout)

    def test_a_handshake_that_never_comes_ends(self):
        # neither a client that says nothing nor one that says nonsense keeps the port from others
        quiet = [self.begin("alpha", entrance) for entrance in ENTRANCES]
        for entrance in ENTRANCES:
            with self.begin("alpha", entrance) as wire:
                wire.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                kind = wire.rest()[:1]
                self.assertIn(kind, (b"", bytes([ALERT])), "an alert or the end")
        for entrance in ENTRANCES:
            self.assertIn("Verify return code: 0 (ok)", self.s_client(entrance).stdout)
        for wire in quiet:
            wire.close()

    def test_no_renegotiation_and_no_compression(self):
        told = self.s_client("imap", "-tls1_2").stdout
        self.assertIn("Secure Renegotiation IS supported", told)
        self.assertIn("Compression: NONE", told)
        where = self.space.operator("alpha")["imap"]
        # `R` asks for a renegotiation
        told = run("openssl", "s_client", "-connect", f"{where['host']}:{where['port']}", "-starttls", "imap", "-tls1_2",
                   "-CAfile", self.space.ca, input="R\n", ok=None, timeout=PATIENCE)
        self.assertRegex(told.stderr + told.stdout, "no renegotiation|no_renegotiation")

    def test_every_https_service_has_a_good_certificate_and_no_old_version(self):
        services = [self.space.json["psc"]["jwks_uri"], self.space.json["white_list"]]
        services += [operator["autoconfig"] for operator in self.space.json["operators"]]
        for url in services:
            run("curl", "-sSf", "--cacert", self.space.ca, "-o", "/dev/null", url)
            # without our authority nothing is believed
            run("curl", "-sSf", "-o", "/dev/null", url, ok=False)
            host, port = re.match(r"https://([\d.]+):(\d+)/", url).groups()
            with socket.create_connection((host, int(port)), 20):
                pass
            told = run("openssl", "s_client", "-connect", f"{host}:{port}", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", ok=False, input="")
            self.assertIn("alert protocol version", told.stderr)


if __name__ == "__main__":
    main()
