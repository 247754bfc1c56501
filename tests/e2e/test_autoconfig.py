"""How mail software finds the ports (LPS-AUTOCONF): Mozilla's format over HTTPS, read with xmllint."""

import socket
import struct

from space import SpaceTest, main, run

TYPES = (("incomingServer", "imap"), ("outgoingServer", "smtp"))


def xpath(document, expression):
    return run("xmllint", "--xpath", expression, "-", input=document).stdout.strip()


def without_name(octets):
    """What follows a domain name in a DNS message (RFC 1035 §4.1.4)."""
    while octets[0] not in range(0xC0, 0x100):
        if octets[0] == 0:
            return octets[1:]
        octets = octets[1 + octets[0]:]
    return octets[2:]


class Autoconfiguration(SpaceTest):
    def fetch(self, url, *options, ok=True):
        return run("curl", "-sS", "--cacert", self.space.ca, *options, url, ok=ok)

    def document(self, operator):
        return self.fetch(operator["autoconfig"], "-f").stdout

    def test_four_blocks_with_the_real_ports(self):
        for operator in self.space.json["operators"]:
            document = self.document(operator)
            run("xmllint", "--noout", "-", input=document)
            self.assertEqual(xpath(document, "string(/clientConfig/@version)"), "1.1")
            self.assertEqual(xpath(document, "string(/clientConfig/emailProvider/domain)"), operator["domain"])
            self.assertEqual(xpath(document, "string(/clientConfig/emailProvider/@id)"), operator["domain"])
            self.assertEqual(xpath(document, "count(//incomingServer | //outgoingServer)"), "4")
            for (element, kind), entrance in zip(TYPES, ("imap", "submission")):
                # the first block of a kind is the preferred one: Pro Santé Connect
                for number, (name, authentication) in enumerate(((entrance, "OAuth2"), (f"{entrance}_app", "TLS-client-cert")), 1):
                    block = f"//{element}[{number}]"
                    where = operator[name]
                    self.assertEqual(xpath(document, f"string({block}/@type)"), kind)
                    self.assertEqual(xpath(document, f"string({block}/port)"), str(where["port"]))
                    self.assertEqual(xpath(document, f"string({block}/hostname)"), where["name"])
                    self.assertEqual(xpath(document, f"string({block}/socketType)"), "STARTTLS")
                    self.assertEqual(xpath(document, f"string({block}/username)"), "%EMAILADDRESS%")
                    self.assertEqual(xpath(document, f"string({block}/authentication)"), authentication)

    def test_the_ports_it_tells_are_open(self):
        for operator in self.space.json["operators"]:
            document = self.document(operator)
            ports = run("xmllint", "--xpath", "//port/text()", "-", input=document).stdout.split()
            for port in ports:
                with socket.create_connection(("127.0.0.1", int(port)), 10) as connection:
                    self.assertIn(connection.recv(3), (b"* O", b"220"))

    def test_whatever_is_asked_the_answer_is_the_same(self):
        # it tells nothing of who exists (LPS-IDENT)
        operator = self.space.operator("alpha")
        document = self.document(operator)
        known = self.space.person("alpha")["mailbox"]
        for query in (f"emailaddress={known}", "emailaddress=personne%40alpha.formation.mssante.fr", "emailaddress=", "x=" + "y" * 2000,
                      "emailaddress=%00%0d%0aX-Injected:%201", "emailaddress=%3Cscript%3E"):
            self.assertEqual(self.fetch(f"{operator['autoconfig']}?{query}", "-f").stdout, document)
        well_known = operator["autoconfig"].replace("/mail/", "/.well-known/autoconfig/mail/")
        self.assertEqual(self.fetch(well_known, "-f").stdout, document)

    def test_nothing_else_is_answered(self):
        url = self.space.operator("alpha")["autoconfig"]
        status = ["-o", "/dev/null", "-w", "%{http_code}"]
        for method in ("POST", "PUT", "DELETE", "PATCH", "PROPFIND"):
            self.assertEqual(self.fetch(url, "-X", method, "-d", "x=1", *status).stdout, "405", method)
        self.assertEqual(self.fetch(url, "-I", *status).stdout, "200")
        for path in ("/", "/mail/", "/mail/config-v1.1.xml/x", "/mail/../mail/autre.xml", "/etc/passwd", "/..%2f..%2fetc/passwd"):
            self.assertEqual(self.fetch(url.replace("/mail/config-v1.1.xml", path), "--path-as-is", *status).stdout, "404", path)
        head = self.fetch(url, "-I").stdout.lower()
        self.assertIn("content-type: text/xml; charset=utf-8", head)
        self.assertNotIn("\nserver:", head)

    def test_without_the_authority_nobody_is_believed(self):
        run("curl", "-sS", self.space.operator("alpha")["autoconfig"], ok=False)

    def test_the_name_server_tells_the_same(self):
        # RFC 6186: asked by hand, over TCP
        where = self.space.json["dns"]
        for operator in self.space.json["operators"]:
            for service, entrance in (("_imap._tcp", "imap"), ("_submission._tcp", "submission")):
                name = b"".join(bytes([len(label)]) + label.encode() for label in f"{service}.{operator['domain']}".split(".")) + b"\0"
                query = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + name + struct.pack("!2H", 33, 1)
                with socket.create_connection((where["host"], where["port"]), 10) as connection:
                    connection.sendall(struct.pack("!H", len(query)) + query)
                    stream = connection.makefile("rb")
                    answer = stream.read(struct.unpack("!H", stream.read(2))[0])
                number, flags, _, answers = struct.unpack("!4H", answer[:8])
                self.assertEqual((number, flags & 0x000F, answers), (7, 0, 1))
                data = without_name(answer[12 + len(name) + 4:])
                self.assertEqual(struct.unpack("!H", data[:2])[0], 33)
                _, _, port = struct.unpack("!3H", data[10:16])
                self.assertEqual(port, operator[entrance]["port"])


if __name__ == "__main__":
    main()
