"""Reads messages as Python's email module does, and compares with what they were made from.

    read_mail.py FOLDER     FOLDER/*.eml, with what is expected of each in FOLDER/*.json

The oracle of crates/lps/tests/all/python.rs: nothing of it was written for our messages.
"""

import email
import email.header
import email.policy
import email.utils
import hashlib
import io
import json
import sys
import zipfile
from pathlib import Path

STRICT = email.policy.default.clone(raise_on_defect=False)
KNOWN = {
    "date", "from", "to", "cc", "reply-to", "subject", "message-id", "in-reply-to", "references", "x-mss-nil", "x-mss-codecda",
    "x-mss-ins", "x-mss-mes", "disposition-notification-to", "mime-version", "content-type", "content-transfer-encoding",
}


def lines(text):
    """The text with its lines ended alike, the last one too."""
    return "".join(line + "\n" for line in text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")) if text else ""


def people(octets, name):
    """Names and addresses of a field. Not by message[name].addresses, which leaves a blank between two encoded words of a name, which
    RFC 2047 §6.2 takes away (Python 3.11)."""
    raw = email.message_from_bytes(octets).get_all(name, [])
    decoded = lambda text: str(email.header.make_header(email.header.decode_header(text)))
    return [[decoded(person), address] for person, address in email.utils.getaddresses(raw)]


def check(octets, wanted):
    for line in octets.split(b"\r\n"):
        assert len(line) <= 998 and b"\n" not in line and b"\r" not in line and b"\0" not in line, line[:80]
    message = email.message_from_bytes(octets, policy=STRICT)
    for part in message.walk():
        assert not part.defects, part.defects
        for name, value in part.items():
            assert not value.defects, (name, value, value.defects)
    names = [name.lower() for name in message.keys()]
    assert len(names) == len(set(names)), names
    assert set(names) <= KNOWN, set(names) - KNOWN
    for name, value in wanted["headers"].items():
        assert str(message.get(name)) == value, (name, str(message.get(name)), value)
    for name in wanted["absent"]:
        assert message[name] is None, name
    assert message["subject"] == wanted["subject"], (message["subject"], wanted["subject"])
    for name in ("from", "to", "cc"):
        found = people(octets, name)
        assert found == wanted[name], (name, found, wanted[name])
    plain = message.get_body(("plain",))
    assert plain.get_content_charset() == "utf-8"
    assert lines(plain.get_content()) == lines(wanted["text"]), (plain.get_content(), wanted["text"])
    html = message.get_body(("html",))
    assert (html is not None) == (wanted["html"] is not None)
    if html is not None:
        assert lines(html.get_content()) == lines(wanted["html"])
    found = []
    for part in message.iter_attachments() if message.is_multipart() and message.get_content_type() == "multipart/mixed" else []:
        if part.get_content_type() == "message/rfc822":
            inner = part.get_payload()[0]
            found.append(["message.eml", "message/rfc822", inner["subject"]])
            continue
        content = part.get_payload(decode=True)
        # The name stands in both fields.
        assert part.get_param("name") is None or email.utils.collapse_rfc2231_value(part.get_param("name")) == part.get_filename()
        assert part.get_content_disposition() == "attachment"
        found.append([part.get_filename(), part.get_content_type(), hashlib.sha256(content).hexdigest()])
        if part.get_filename() == "IHE_XDM.zip":
            archive = zipfile.ZipFile(io.BytesIO(content))
            assert archive.testzip() is None
            assert {"INDEX.HTM", "README.TXT", "IHE_XDM/SUBSET01/METADATA.XML"} <= set(archive.namelist())
    assert found == wanted["attachments"], (found, wanted["attachments"])


def main():
    count = 0
    for path in sorted(Path(sys.argv[1]).glob("*.eml")):
        try:
            check(path.read_bytes(), json.loads(path.with_suffix(".json").read_text()))
        except AssertionError as error:
            sys.exit(f"{path}: {error}")
        count += 1
    print(count)


if __name__ == "__main__":
    main()
