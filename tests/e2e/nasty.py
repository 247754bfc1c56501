"""Messages as the world sends them: well made, badly made and made to hurt. Forty of them, the same on every run.

Each is (name, octets). Lines end with CRLF and no octet is NUL: what is compared is the reading of MIME, not the repair of lines.
"""


def _crlf(text):
    octets = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    return octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _head(number, subject="essai", sender="Labo <labo@exemple.test>", to="marie@exemple.test", more=""):
    return (f"From: {sender}\nTo: {to}\nSubject: {subject}\nDate: Tue, {1 + number % 28} Jun 2026 10:{number % 60:02}:00 +0200\n"
            f"Message-ID: <{number}.nasty@exemple.test>\n{more}")


def _multipart(number, parts, subtype="mixed", boundary="limite", preamble="", epilogue="", more="", **head):
    body = "".join(f"--{boundary}\n{part}\n" for part in parts)
    return (_head(number, more=more, **head) + f"MIME-Version: 1.0\nContent-Type: multipart/{subtype}; boundary=\"{boundary}\"\n\n"
            + preamble + body + f"--{boundary}--\n{epilogue}")


TEXT = "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nBonjour à tous, été comme hiver.\n"
HTML = "Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n<p>=C3=89t=C3=A9 <b>gras</b></p>\n"
PDF = ("Content-Type: application/pdf; name=\"compte rendu.pdf\"\nContent-Disposition: attachment; filename=\"compte rendu.pdf\"; size=9\n"
       "Content-ID: <p1@exemple.test>\nContent-Description: le compte rendu\nContent-Language: fr, en\n"
       "Content-Location: http://exemple.test/cr.pdf\nContent-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\nContent-Transfer-Encoding: base64\n\nJVBERi0xLjQK\n")


def messages():
    made = []

    def add(name, text):
        made.append((name, _crlf(text)))

    def number():
        return len(made) + 1

    add("plain", _head(1) + "\nBonjour.\n")
    add("no body and no blank line", _head(2).rstrip("\n") + "\n")
    add("blank line and nothing", _head(3) + "\n")
    add("no header", "\nRien que du texte.\n")
    add("8bit text", _head(5) + "MIME-Version: 1.0\n" + TEXT)
    add("alternative", _multipart(6, [TEXT, HTML], "alternative"))
    add("mixed with all the fields", _multipart(7, [TEXT, PDF]))
    add("nested", _multipart(8, [
        "Content-Type: multipart/related; boundary=in; type=\"text/html\"\n\n--in\n" + HTML + "--in\n" + PDF + "--in--\n", TEXT, PDF]))
    inner = _multipart(90, [TEXT, PDF], sender="Autre <autre@exemple.test>", subject="dedans")
    add("message in a message", _multipart(9, [TEXT, "Content-Type: message/rfc822\n\n" + inner]))
    add("the whole is a message", _head(10) + "Content-Type: message/rfc822\n\n" + _head(91, "plus bas") + "\ntexte\n")
    add("message in a message in a message", _head(11) + "Content-Type: message/rfc822\n\n" + _head(92)
        + "Content-Type: message/rfc822\n\n" + _multipart(93, [TEXT]))
    add("digest", _multipart(12, ["\n" + _head(94, "un") + "\nun\n", "\n" + _head(95, "deux") + "\ndeux\n"], "digest"))
    add("no closing delimiter", _multipart(13, [TEXT, PDF]).replace("--limite--\n", ""))
    add("preamble and epilogue", _multipart(14, [TEXT], preamble="avant\n\n", epilogue="après\n\n"))
    add("delimiters with spaces after", _multipart(15, [TEXT, HTML]).replace("--limite\n", "--limite  \t\n"))
    add("boundary that begins another", _multipart(16, [
        "Content-Type: multipart/mixed; boundary=limite-b\n\n--limite-b\n" + TEXT + "--limite-b--\n", TEXT]))
    add("empty parts", _multipart(17, ["", "\n", "Content-Type: text/plain\n"]))
    add("multipart without boundary", _head(18) + "MIME-Version: 1.0\nContent-Type: multipart/mixed\n\n--x\n\ntexte\n--x--\n")
    add("multipart whose boundary never comes", _head(19) + "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=absent\n\ntexte\n")
    add("no MIME-Version", _multipart(20, [TEXT]).replace("MIME-Version: 1.0\n", ""))
    add("encoded words", _head(21, "=?utf-8?Q?R=C3=A9sultat_d=27analyse?= =?utf-8?B?w6l0w6k=?=", "=?iso-8859-1?Q?Jos=E9?= <jose@exemple.test>") + "\nx\n")
    add("raw 8bit in the header", _head(22, "Résultat été", "José <jose@exemple.test>") + "\nx\n")
    add("latin-1 in the header", _head(23, "R\udce9sultat") + "\nx\n")
    add("folded header", _head(24, "un\n deux\n\ttrois", to="a@exemple.test,\n b@exemple.test") + "\nx\n")
    add("groups", _head(25, to="Équipe: a@exemple.test, B <b@exemple.test>;, undisclosed-recipients:;",
                        more="Cc: \"Vi,rgule\" <v@exemple.test>, (commentaire) c@exemple.test (Nom)\n") + "\nx\n")
    add("bad addresses", _head(26, sender="pas d'adresse", to="<@route.test:r@exemple.test>, sans-domaine, <>, a@b@c, \"q\\\"uoted\"@exemple.test")
        + "\nx\n")
    add("empty fields", "From:\nTo: \nSubject:\nDate:\nMessage-ID:\n\nx\n")
    add("fields twice", _head(28) + "Subject: second\nFrom: Second <second@exemple.test>\nTo: troisieme@exemple.test\n\nx\n")
    add("all the envelope", _head(29, more="Sender: s@exemple.test\nReply-To: r@exemple.test, q@exemple.test\nCc: c@exemple.test\n"
                                  "Bcc: b@exemple.test\nIn-Reply-To: <1.nasty@exemple.test>\nReferences: <1.nasty@exemple.test>\n") + "\nx\n")
    add("reply to a reply", _head(30, "Re: essai", more="In-Reply-To: <29.nasty@exemple.test>\n"
                                  "References: <1.nasty@exemple.test>\n <29.nasty@exemple.test>\n") + "\nx\n")
    add("RFC 2231", _multipart(31, [TEXT, "Content-Type: application/octet-stream;\n name*0*=utf-8''compte%20rendu%20;\n name*1*=%C3%A9t%C3%A9;\n"
                                    " name*2=.pdf\nContent-Disposition: attachment;\n filename*=utf-8'fr'%C3%A9t%C3%A9.pdf\n\nx\n"]))
    add("odd parameters", _head(32) + "MIME-Version: 1.0\nContent-Type: text/plain; charset=\"us-ascii\" ; format = flowed; vide=\"\"; x=\"a\\\"b\"\n\nx\n")
    add("content type without subtype", _head(33) + "MIME-Version: 1.0\nContent-Type: text\n\nx\n")
    add("content type of nonsense", _head(34) + "MIME-Version: 1.0\nContent-Type: ;;;\n\nx\n")
    add("comments in MIME fields", _head(35) + "MIME-Version: 1.0 (fait main)\nContent-Type: text/plain (du texte); charset=utf-8 (comme tous)\n"
        "Content-Transfer-Encoding: 7bit (vraiment)\n\nx\n")
    add("unknown encoding", _head(36) + "MIME-Version: 1.0\nContent-Transfer-Encoding: x-uuencode\n\nbegin 644 a\nend\n")
    add("base64 that is not", _head(37) + "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n"
        "Qm9uam91ciDDoCB0b3Vz!!\nLg==\n")
    add("quoted-printable with errors", _head(38) + "MIME-Version: 1.0\nContent-Type: text/plain; charset=iso-8859-1\n"
        "Content-Transfer-Encoding: quoted-printable\n\n=E9t=e9 =ZZ fin=\n de ligne =\n")
    add("a line of 20 000", _head(39) + "\n" + "x" * 20000 + "\n")
    add("delivery report", _multipart(40, ["\nNon remis.\n", "Content-Type: message/delivery-status\n\nReporting-MTA: dns; exemple.test\n\n"
                                           "Final-Recipient: rfc822; a@exemple.test\nAction: failed\nStatus: 5.1.1\n",
                                           "Content-Type: text/rfc822-headers\n\n" + _head(96)], "report"))
    add("thirty deep", _deep(41, 30))
    add("a header field without a colon", _head(42) + "ceci n'est pas un champ\nX-Suite: oui\n\nx\n")
    add("no newline at the end", (_head(43) + "\nsans fin de ligne").rstrip("\n"))
    add("dates of all kinds", _head(44).replace("+0200", "(CEST)") + "\nx\n")
    return made


def _deep(number, depth):
    opening = "".join(f"Content-Type: multipart/mixed; boundary=b{level:02}.\n\n--b{level:02}.\n" for level in range(depth))
    closing = "".join(f"--b{level:02}.--\n" for level in reversed(range(depth)))
    return _head(number) + "MIME-Version: 1.0\n" + opening + TEXT + closing
