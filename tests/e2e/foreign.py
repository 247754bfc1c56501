"""An operator that nobody here wrote: Dovecot for reading and for logins, Postfix for handing over and for the operator interface, both as Debian
has them, in a folder of their own on loopback ports. Configured with care: the six suites, PSC by introspection, mutual TLS, a white list in tables.

How Dovecot judges a token is chosen (`tokens`): `introspection`, PSC is asked about each; `userinfo`, PSC is asked whose it is; `local`, with PSC's keys in a
dictionary, nobody is asked.

They stand where a sandbox's operator alpha stands: its domain, its certificate, its people, so that the sandbox's PSC, traps and peers know them.
"""

import os
import pwd
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

from space import PATIENCE, free_port, run, wait_for

# The client of PSC in whose name a campaign's tokens are, unless its job says otherwise.
AZP = "vaguemestre-controle"
TRAPS = "pieges.formation.mssante.fr"
# The last byte of the address of each trap's door (docs/sandbox.md); nobody listens on the first server of mx2.
DOORS = {name: 5 + index for index, name in enumerate(
    ["nominal", "sans-starttls", "expire", "revoque", "autosigne", "mauvais-nom", "autre-ac", "dn-non-liste", "tls10",
     "suites-hors-liste", "dh1024", "hors-liste", "mx2", "injection"])}
NOBODY = 19
SIX = "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-SHA384:ECDHE-RSA-AES128-SHA256:" \
      "DHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES128-GCM-SHA256"


# The versions that were looked at (Debian 12): what others do is another finding.
LOOKED_AT = {"Dovecot": (["/usr/sbin/dovecot", "--version"], "2.3."), "Postfix": (["postconf", "-d", "-h", "mail_version"], "3.7.")}


def missing():
    """Why they cannot be asked, or cannot be compared; none when they can."""
    needed = ["/usr/sbin/dovecot", "/usr/lib/dovecot/imap", "/usr/sbin/postfix"]
    if os.geteuid() != 0 or not all(os.path.exists(path) for path in needed):
        return "Dovecot and Postfix are needed, and root"
    others = [f"{name} {found}" for name, (command, prefix) in LOOKED_AT.items()
              if not (found := run(*command).stdout.strip()).startswith(prefix)]
    return f"{', '.join(others)}: other versions than those that were looked at" if others else None


class Foreign:
    """The operator, running."""

    def __init__(self, space, person, other, tokens="introspection"):
        """person, other: entries of sandbox.json's people, each holder of one BAL."""
        self.tokens = tokens
        self.space, self.person, self.other = space, person, other
        self.alpha = space.operator("alpha")
        self.domain = self.alpha["domain"]
        self.folder = Path(tempfile.mkdtemp(prefix="vaguemestre-foreign-"))
        self.folder.chmod(0o755)
        self.etc = self.folder / "etc"
        self.user = pwd.getpwnam("mail")
        for folder in (self.etc, self.folder / "queue", self.folder / "data"):
            folder.mkdir(mode=0o755)
        (self.folder / "mail").mkdir(mode=0o700)
        os.chown(self.folder / "mail", self.user.pw_uid, self.user.pw_gid)
        shutil.chown(self.folder / "data", "postfix")
        for name, source in (("own.pem", self.alpha["certificate"]), ("own.key", self.alpha["key"]), ("ca.pem", space.json["pki"]["ca"])):
            shutil.copy(space.folder / source, self.etc / name)
        (self.etc / "ca.pem").chmod(0o644)
        # Dovecot takes whoever comes from its own address for safe, without TLS: campaigns come from 127.0.0.1 to another. Both, since
        # the name leads to the first (TLS-13). The operator interface is where its name leads to.
        self.host, self.mx_host = self._near("20"), self.alpha["mx"]["host"]
        self.sasl, self.web = free_port("127.0.0.1"), free_port("127.0.0.1")
        self.imap, self.submission = free_port("127.0.0.1", self.host), free_port("127.0.0.1", self.host)
        self.mx = free_port(self.mx_host)
        self._dovecot()
        self._postfix()
        self._autoconfig()
        self.start()

    # --- Dovecot ----------------------------------------------------------------------------------------------------

    def _dovecot(self):
        # Whose the token is is told by SubjectNameID, compared with the holder of the BAL.
        (self.etc / "oauth2.conf").write_text(f"""{self._judging()}
tls_ca_cert_file = {self.etc}/ca.pem
username_attribute = SubjectNameID
username_format = %u
timeout_msecs = 10000
""")
        # A BAL and its holder: the name that is logged in with becomes the holder's IDNAT, which the token must have.
        lines = []
        for entry in (self.person, self.other):
            local = entry["mailbox"].split("@")[0]
            home = self.folder / "mail" / local
            lines.append(f"{entry['mailbox']}:::::::nopassword=y user={entry['id']} userdb_uid={self.user.pw_uid} "
                         f"userdb_gid={self.user.pw_gid} userdb_home={home} userdb_mail=maildir:{home}\n")
        (self.etc / "holders").write_text("".join(lines))
        base = self.folder
        (self.etc / "dovecot.conf").write_text(f"""protocols = imap
base_dir = {base}/run
state_dir = {base}/state
log_path = {base}/dovecot.log
auth_verbose = yes
ssl = required
ssl_cert = <{self.etc}/own.pem
ssl_key = <{self.etc}/own.key
ssl_dh = </usr/share/dovecot/dh.pem
ssl_min_protocol = TLSv1.2
ssl_cipher_list = {SIX}
disable_plaintext_auth = yes
auth_mechanisms = xoauth2 oauthbearer
first_valid_uid = 1
first_valid_gid = 1
# Against guessing, Dovecot makes failures slow: a campaign that only fails would take a quarter of an hour.
auth_failure_delay = 0 secs
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
passdb {{
  driver = passwd-file
  args = username_format=%u {self.etc}/holders
  result_success = continue
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {self.etc}/oauth2.conf
}}
userdb {{
  driver = prefetch
}}
namespace inbox {{
  inbox = yes
}}
service auth {{
  inet_listener {{
    address = 127.0.0.1
    port = {self.sasl}
  }}
}}
service imap-login {{
  inet_listener imap {{
    address = {self.host}, 127.0.0.1
    port = {self.imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
""")

    def _judging(self):
        """How a token is judged, in the words of Dovecot's oauth2 configuration."""
        psc = self.space.json["psc"]
        if self.tokens == "introspection":
            credentials = f"{quote(psc['client_id'], safe='')}:{quote(psc['client_secret'], safe='')}@"
            return f"""introspection_mode = post
introspection_url = {psc['introspection_endpoint'].replace('https://', 'https://' + credentials)}
active_attribute = active
active_value = true"""
        if self.tokens == "userinfo":
            return f"introspection_mode = auth\nintrospection_url = {psc['userinfo_endpoint']}"
        # A file for each client of PSC: keys/<azp>/<alg>/<kid>, the public key.
        psc_job = tomllib.loads((self.space.folder / "alpha/control.toml").read_text())["psc"]
        key = run("openssl", "pkey", "-in", self.space.folder / "alpha" / psc_job["key"], "-pubout").stdout
        for client in (psc["client_id"], psc_job.get("azp", AZP)):
            folder = self.etc / "keys" / client / "RS256"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / psc_job["kid"].replace("%", "%25").replace("/", "%2f")).write_text(key)
        return f"introspection_mode = local\nlocal_validation_key_dict = fs:posix:prefix={self.etc}/keys/\nissuers = {psc['issuer']}"

    # --- Postfix ----------------------------------------------------------------------------------------------------

    def _table(self, name, lines):
        (self.etc / name).write_text("".join(f"{line}\n" for line in lines))
        return f"texthash:{self.etc}/{name}"

    def fingerprint(self, certificate):
        done = run("openssl", "x509", "-in", self.space.folder / certificate, "-noout", "-fingerprint", "-sha256")
        return done.stdout.strip().split("=")[1]

    def _near(self, last):
        """An address of this sandbox's own network."""
        return f"{self.alpha['mx']['host'].rsplit('.', 1)[0]}.{last}"

    def _door(self, last):
        return f"[{self._near(last)}]:{self.alpha['mx']['port']}"

    def _postfix(self):
        mailboxes = [(entry["mailbox"], entry["id"]) for entry in (self.person, self.other)]
        domains = {name: TRAPS if name == "nominal" else f"{name}.{TRAPS}" for name in DOORS}
        beta = self.space.operator("beta")
        # The white list as Postfix can have it: who may be written to, where and under which name; who may hand over what.
        routes, policies = [], []
        for name, domain in domains.items():
            door = self._door(DOORS[name])
            routes.append(f"{domain} smtp:{f'{self._door(NOBODY)}, ' if name == 'mx2' else ''}{door}")
            policies.append(f"{door} secure match=mx.{domain} protocols=>=TLSv1.2 ciphers=high")
        listed = [self.domain, *(domain for name, domain in domains.items() if name != "hors-liste")]
        recipients = [f"hors-liste.{TRAPS} REJECT", *(f"{domain} OK" for domain in listed)]
        peers = {"pair": ("pki/control/pair.pem", ["controle.formation.mssante.fr", "<>"]),
                 "beta": (beta["certificate"], [beta["domain"], "<>"])}
        settings = {
            "compatibility_level": "3.6", "queue_directory": self.folder / "queue", "data_directory": self.folder / "data",
            "command_directory": "/usr/sbin", "daemon_directory": "/usr/lib/postfix/sbin", "mail_owner": "postfix", "setgid_group": "postdrop",
            "maillog_file": self.folder / "maillog", "maillog_file_prefixes": self.folder, "multi_instance_name": "postfix-etranger",
            "alternate_config_directories": "", "myhostname": self.alpha["mx"]["name"], "mydestination": "", "mynetworks": "",
            "inet_interfaces": "loopback-only", "inet_protocols": "ipv4", "smtp_host_lookup": "native", "message_size_limit": "26214400",
            "mailbox_size_limit": "0",
            "virtual_mailbox_domains": self.domain, "virtual_mailbox_base": self.folder / "mail",
            "virtual_mailbox_maps": self._table("mailboxes", [f"{address} {address.split('@')[0]}/" for address, _ in mailboxes]),
            "virtual_uid_maps": f"static:{self.user.pw_uid}", "virtual_gid_maps": f"static:{self.user.pw_gid}",
            "virtual_minimum_uid": "1", "virtual_mailbox_limit": "0",
            # TLS of both servers, and as a client.
            "tls_high_cipherlist": SIX, "tls_append_default_CA": "no", "smtpd_tls_cert_file": self.etc / "own.pem",
            "smtpd_tls_key_file": self.etc / "own.key", "smtpd_tls_CAfile": self.etc / "ca.pem", "smtpd_tls_mandatory_protocols": ">=TLSv1.2",
            "smtpd_tls_mandatory_ciphers": "high", "smtpd_tls_fingerprint_digest": "sha256", "smtpd_tls_security_level": "encrypt",
            "smtpd_tls_received_header": "yes", "smtpd_tls_ask_ccert": "no",
            "smtp_tls_security_level": "secure", "smtp_tls_CAfile": self.etc / "ca.pem", "smtp_tls_cert_file": self.etc / "own.pem",
            "smtp_tls_key_file": self.etc / "own.key", "smtp_tls_mandatory_protocols": ">=TLSv1.2", "smtp_tls_mandatory_ciphers": "high",
            "smtp_tls_policy_maps": self._table("policies", policies), "transport_maps": self._table("routes", routes),
            # Later versions close that door by themselves: this is Debian 12's, where it stands open (CVE-2023-51764, OPE-09).
            "smtpd_forbid_bare_newline": "no",
            # The queue of days in seconds.
            "minimal_backoff_time": "2s", "maximal_backoff_time": "4s", "queue_run_delay": "2s", "maximal_queue_lifetime": "30s",
            "bounce_queue_lifetime": "30s", "smtp_connect_timeout": "5s",
            # API LPS: whoever is logged in as the holder of the sender's BAL, to who is on the list.
            "smtpd_sasl_type": "dovecot", "smtpd_sasl_path": f"inet:127.0.0.1:{self.sasl}", "smtpd_tls_auth_only": "yes",
            "smtpd_sasl_security_options": "noanonymous",
            "smtpd_sender_login_maps": self._table("logins", [f"{address} {holder}" for address, holder in mailboxes]),
            "lps_sender_restrictions": "reject_sender_login_mismatch", "lps_relay_restrictions": "permit_sasl_authenticated, reject",
            "lps_recipient_restrictions": f"check_recipient_access {self._table('recipients', recipients)}, reject",
            # Operator interface: whoever shows a certificate of the list, in the name of its own domains, to the BAL that are here.
            "smtpd_restriction_classes": ", ".join(f"from_{name}" for name in peers),
            **{f"from_{name}": f"check_sender_access {self._table(f'from-{name}', [f'{domain} OK' for domain in named])}, reject"
               for name, (_, named) in peers.items()},
            "mx_peers": self._table("peers", [f"{self.fingerprint(certificate)} from_{name}" for name, (certificate, _) in peers.items()]),
            "mx_sender_restrictions": "check_ccert_access $mx_peers, reject",
            "mx_relay_restrictions": "reject_unauth_destination",
        }
        (self.etc / "main.cf").write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))
        lps = ["smtpd_sasl_auth_enable=yes", "smtpd_sender_restrictions=$lps_sender_restrictions",
               "smtpd_relay_restrictions=$lps_relay_restrictions", "smtpd_recipient_restrictions=$lps_recipient_restrictions"]
        mx = ["smtpd_tls_req_ccert=yes", "smtpd_tls_ask_ccert=yes", "smtpd_sender_restrictions=$mx_sender_restrictions",
              "smtpd_relay_restrictions=$mx_relay_restrictions", "smtpd_recipient_restrictions="]
        services = [
            *(" ".join([f"{host}:{self.submission} inet n - n - - smtpd", *(f"-o {option}" for option in lps)])
              for host in (self.host, "127.0.0.1")),
            " ".join([f"{self.mx_host}:{self.mx} inet n - n - - smtpd", *(f"-o {option}" for option in mx)]),
            "pickup unix n - n 2 1 pickup", "cleanup unix n - n - 0 cleanup", "qmgr unix n - n 2 1 qmgr",
            "tlsmgr unix - - n 1000? 1 tlsmgr", "rewrite unix - - n - - trivial-rewrite", "bounce unix - - n - 0 bounce",
            "defer unix - - n - 0 bounce", "trace unix - - n - 0 bounce", "smtp unix - - n - - smtp", "error unix - - n - - error",
            "retry unix - - n - - error", "virtual unix - n n - - virtual", "scache unix - - n - 1 scache", "anvil unix - - n - 1 anvil",
            "postlog unix-dgram n - n - 1 postlogd", "proxymap unix - - n - - proxymap"]
        (self.etc / "master.cf").write_text("\n".join(services) + "\n")

    # --- autoconfiguration: a file on a web server ------------------------------------------------------------------

    def _autoconfig(self):
        name = self.alpha["imap"]["name"]

        def block(element, kind, port):
            return (f"<{element} type=\"{kind}\"><hostname>{name}</hostname><port>{port}</port><socketType>STARTTLS</socketType>"
                    f"<username>%EMAILADDRESS%</username><authentication>OAuth2</authentication></{element}>")
        document = (f"<?xml version=\"1.0\" encoding=\"UTF-8\"?><clientConfig version=\"1.1\"><emailProvider id=\"{self.domain}\"><domain>{self.domain}</domain>"
                    f"<displayName>MSSanté</displayName>{block('incomingServer', 'imap', self.imap)}"
                    f"{block('outgoingServer', 'smtp', self.submission)}</emailProvider></clientConfig>\n").encode()

        class Page(BaseHTTPRequestHandler):
            def do_GET(self):
                is_there = self.path.split("?")[0] == "/mail/config-v1.1.xml"
                self.send_response(200 if is_there else 404)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(document) if is_there else 0))
                self.end_headers()
                if is_there:
                    self.wfile.write(document)

            def log_message(self, *_):
                """Nobody reads it."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                """Probes cut connections as they like."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.etc / "own.pem", self.etc / "own.key")
        self.pages = Server(("127.0.0.1", self.web), Page)
        # Not at accept: one that says nothing would keep the others waiting.
        self.pages.socket = context.wrap_socket(self.pages.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.pages.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self):
        self.dovecot = subprocess.Popen(["/usr/sbin/dovecot", "-F", "-c", str(self.etc / "dovecot.conf")], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        run("postfix", "-c", self.etc, "start")

        def listening():
            assert self.dovecot.poll() is None, self.logs()
            try:
                for place in ((self.host, self.imap), ("127.0.0.1", self.sasl), (self.host, self.submission), (self.mx_host, self.mx)):
                    socket.create_connection(place, 5).close()
                return True
            except OSError:
                return False
        wait_for("Dovecot and Postfix", listening)

    def logs(self):
        found = [self.folder / "dovecot.log", self.folder / "maillog"]
        return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-6000:]}" for log in found if log.exists())

    def close(self):
        self.pages.shutdown()
        self.pages.server_close()
        run("postfix", "-c", self.etc, "stop", ok=None)
        self.dovecot.terminate()
        self.dovecot.wait(PATIENCE)
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- the job ----------------------------------------------------------------------------------------------------

    def job(self, plan):
        """A job file as its operator would write it, in the sandbox's folder beside the ones written there."""
        space, pki = self.space, self.space.folder / "pki"
        alpha_job = (space.folder / "alpha/control.toml").read_text()
        # What names the space is the same as for its own operator: who signs tokens, who is believed, what must be refused.
        sections = {text.split("]")[0]: text for text in alpha_job.split("\n[")[1:]}

        def section(name):
            return f"[{sections[name]}\n"
        stand = "\n".join(line for line in section("stand").splitlines() if not line.startswith("reader"))
        path = space.folder / "alpha" / f"etranger-{plan}.toml"
        name = self.alpha["imap"]["name"]
        path.write_text(f"""plan = "{plan}"
name = "Dovecot et Postfix de Debian"

[operator]
name = "Opérateur étranger"
domains = ["{self.domain}"]
solution = "Dovecot et Postfix"
has_app = false

[api_lps]
private_addresses = true
imap = {{ address = "{self.host}:{self.imap}", name = "{name}" }}
smtp = {{ address = "{self.host}:{self.submission}", name = "{name}" }}
autoconfig = "127.0.0.1:{self.web}"

[mailbox]
address = "{self.person['mailbox']}"
idnat = "{self.person['id']}"
other_address = "{self.other['mailbox']}"
other_idnat = "{self.other['id']}"

{section('trust')}
{section('psc')}
{stand}
reader = "etranger"

{section('dns')}
[limits]
parallel = 4
patience_seconds = 15
delivery_seconds = 60
fetch_seconds = 2

[sending]
arrival_seconds = 60
retry_seconds = 90
notice_seconds = 90
repeat_seconds = 3

[operator_interface]
mx = [{{ address = "{self.mx_host}:{self.mx}", name = "{self.alpha['mx']['name']}" }}]
other_domain = "{space.operator('beta')['domain']}"
sender_must_match = true

[operator_interface.peer]
domain = "controle.formation.mssante.fr"
certificate = "{pki}/control/pair.pem"
key = "{pki}/control/pair.key"

{section('operator_interface.certificates')}""")
        return path
