#!/usr/bin/env python3
"""Meetings with people outside, over a real mail server, mailboxes and a browser, all on this machine:
tests/mail_systems.py BINARY [FOLDER FOR PICTURES]

Needs root, postfix, dovecot (imapd, lmtpd), chromium and chromium-driver. Alice is an organizer with a CalDAV client;
Anna, Ben and Cleo are guests at guests.test, whose domain Postfix takes and Dovecot keeps; answers to alice's server
(cal.test) go to its LMTP door. After each step the organizer's object is what it should be.
"""

import base64
import email
import email.policy
import imaplib
import json
import os
import pathlib
import re
import shutil
import smtplib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from email.message import EmailMessage

BINARY = os.path.realpath(sys.argv[1])
PICTURES = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else "target/reports").resolve()
DIR = pathlib.Path(tempfile.mkdtemp(prefix="kalends-mail-"))
os.chmod(DIR, 0o755)
GUESTS = ["anna", "ben", "cleo", "otto", "answers"]
PASSED = []


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


HTTP, LMTP, SMTP, IMAP, DRIVER = (free_port() for _ in range(5))
URL = f"http://127.0.0.1:{HTTP}"


def step(title):
    PASSED.append(title)
    print(f"ok      {title}", flush=True)


def wait_for(what, look, seconds=60):
    """What `look` answers when it answers something: mail systems take their time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.2)
    raise SystemExit(f"FAILED  {what}")


def check(what, good, shown=""):
    if not good:
        raise SystemExit(f"FAILED  {what}\n{shown}")


# The mail server and the mailboxes.

def write(path, text, mode=0o644):
    path = DIR / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def postfix(*words):
    return subprocess.run(["postfix", "-c", str(DIR / "postfix"), *words], capture_output=True, text=True)


def start_mail_systems():
    write("postfix/main.cf", f"""
compatibility_level = 3.6
queue_directory = {DIR}/queue
data_directory = {DIR}/postfix-data
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {DIR}/postfix.log
maillog_file_prefixes = {DIR}
myhostname = mx.guests.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtp_dns_support_level = disabled
local_recipient_maps =
alias_maps =
relay_domains = cal.test
virtual_mailbox_domains = guests.test
virtual_mailbox_maps = static:all
virtual_transport = lmtp:unix:{DIR}/guests.lmtp
transport_maps = inline:{{cal.test=lmtp:inet:127.0.0.1:{LMTP}}}
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_sender_restrictions = check_sender_access inline:{{ {{guests.test = PREPEND Authentication-Results: mx.guests.test; dmarc=pass header.from=guests.test}} }}
smtpd_client_connection_rate_limit = 0
recipient_delimiter =
""")
    rows = f"""
127.0.0.1:{SMTP} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
    write("postfix/master.cf", rows)
    for folder in ["queue", "postfix-data"]:
        (DIR / folder).mkdir()
    shutil.chown(DIR / "postfix-data", "postfix")
    users = "".join(f"{name}:{{PLAIN}}secret::::::\n" for name in GUESTS)
    write("users", users)
    mails = DIR / "mails"
    mails.mkdir()
    shutil.chown(mails, "nobody", "nogroup")
    write("dovecot.conf", f"""
base_dir = {DIR}/dovecot
state_dir = {DIR}/dovecot-state
protocols = imap lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
log_path = {DIR}/dovecot.log
mail_location = maildir:{mails}/%n
first_valid_uid = 1
first_valid_gid = 1
auth_username_format = %Ln
passdb {{
  driver = passwd-file
  args = {DIR}/users
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={mails}/%n
}}
service lmtp {{
  unix_listener {DIR}/guests.lmtp {{
    mode = 0666
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = {IMAP}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
""")
    dovecot = subprocess.Popen(["dovecot", "-F", "-c", str(DIR / "dovecot.conf")])
    started = postfix("start")
    check("postfix starts", started.returncode == 0, started.stdout + started.stderr)
    for port in [SMTP, IMAP]:
        wait_for(f"a mail system at port {port}", lambda: connects(port))
    return dovecot


def connects(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


# Our server.

def settings(imap=""):
    write("answers.password", "secret\n", 0o600)
    return write("server.toml", f"""
[server]
listen = ["127.0.0.1:{HTTP}"]
data = "{DIR}/data"
[mail]
from = "calendar@cal.test"
reply = "calendar+{{token}}@cal.test"
host = "127.0.0.1"
port = {SMTP}
security = "none"
settle = "1 s"
retry = "1 s"
welcome = ["@guests.test"]
[mail.check]
own = false
trusted = ["mx.guests.test"]
[mail.lmtp]
listen = ["127.0.0.1:{LMTP}"]
[web]
public_url = "{URL}"
{imap}
""")


def start_server():
    log = open(DIR / "server.log", "a")
    server = subprocess.Popen([BINARY, "--config", str(DIR / "server.toml"), "serve"], stdout=log, stderr=log)
    wait_for("the server", lambda: connects(HTTP) and connects(LMTP))
    return server


def command(*words, given=None):
    words = [BINARY, "--config", str(DIR / "server.toml"), *words]
    return subprocess.run(words, input=given, capture_output=True)


# The organizer's CalDAV client.

def dav(method, path, body=None, headers=None):
    token = base64.b64encode(b"alice:not-so-secret").decode()
    headers = {"Authorization": f"Basic {token}", **(headers or {})}
    request = urllib.request.Request(URL + path, body and body.encode(), headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def unfolded(text):
    return re.sub(r"\r?\n[ \t]", "", text)


def meeting(name="meeting.ics"):
    status, text = dav("GET", f"/dav/calendars/alice/calendar/{name}")
    return unfolded(text) if status == 200 else ""


def attendee(text, address):
    lines = [line for line in text.splitlines() if line.startswith("ATTENDEE") and address in line.lower()]
    return lines[0] if lines else ""


def put(text, name="meeting.ics"):
    kind = {"Content-Type": "text/calendar; charset=utf-8"}
    status, answer = dav("PUT", f"/dav/calendars/alice/calendar/{name}", text, kind)
    check(f"PUT of {name}", status in (201, 204), answer)


def inbox():
    body = '<propfind xmlns="DAV:"><prop><getetag/></prop></propfind>'
    kind = {"Content-Type": "application/xml", "Depth": "1"}
    _, listing = dav("PROPFIND", "/dav/calendars/alice/inbox/", body, kind)
    hrefs = re.findall(r"<(?:\w+:)?href>([^<]+\.ics)<", listing)
    return [unfolded(dav("GET", href)[1]) for href in hrefs]


# The guests' mail programs.

def mails(who):
    box = imaplib.IMAP4("127.0.0.1", IMAP)
    box.login(who, "secret")
    box.select("INBOX")
    found = []
    for number in box.search(None, "ALL")[1][0].split():
        raw = box.fetch(number, "(RFC822)")[1][0][1]
        found.append(email.message_from_bytes(raw, policy=email.policy.default))
    box.logout()
    return found


def calendar_of(mail):
    for part in mail.walk():
        if part.get_content_type() == "text/calendar":
            return unfolded(part.get_payload(decode=True).decode())
    return ""


def value(calendar, name):
    event = calendar[calendar.index("BEGIN:VEVENT"):]
    found = re.search(rf"^{name}[;:].*$", event, re.M)
    return found.group(0).strip() if found else ""


def newest(who, holds):
    """The newest mail of somebody whose calendar holds this."""
    def look():
        fitting = [mail for mail in mails(who) if holds in calendar_of(mail)]
        return fitting[-1] if fitting else None
    return wait_for(f"{who} gets a mail with {holds}", look)


def answer(who, mail, method, partstat, extra=(), to=None, stamp=None):
    """Answers an invitation as a mail program does: to the address in ORGANIZER, with what the invitation says."""
    calendar = calendar_of(mail)
    address = re.search(r"mailto:(\S+)", value(calendar, "ORGANIZER"), re.I).group(1)
    stamp = stamp or time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    times = [line for line in extra if line.startswith("DT")] or [value(calendar, "DTSTART"), value(calendar, "DTEND")]
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Guest//Program//EN", f"METHOD:{method}"]
    lines += re.findall(r"BEGIN:VTIMEZONE.*?END:VTIMEZONE", calendar, re.S)
    lines += ["BEGIN:VEVENT", value(calendar, "UID"), f"DTSTAMP:{stamp}", value(calendar, "SEQUENCE"), *times,
              value(calendar, "ORGANIZER"), f"ATTENDEE;PARTSTAT={partstat}:mailto:{who}@guests.test",
              f"SUMMARY:Accepted: {value(calendar, 'SUMMARY')[8:]}"]
    lines += [line for line in extra if not line.startswith("DT")]
    lines += ["END:VEVENT", "END:VCALENDAR", ""]
    reply = EmailMessage()
    reply["From"], reply["To"] = f"{who}@guests.test", address
    reply["Subject"] = f"Re: {mail['Subject']}"
    reply["Message-ID"] = f"<{who}-{method}-{stamp}@guests.test>"
    reply.set_content("See the calendar.")
    text = "\r\n".join(part.replace("\r\n", "\n").replace("\n", "\r\n") for part in lines)
    reply.add_alternative(text.encode(), "text", "calendar", params={"method": method, "charset": "utf-8"})
    send(f"{who}@guests.test", to or address, reply)
    return reply


def send(sender, to, mail):
    with smtplib.SMTP("127.0.0.1", SMTP) as smtp:
        smtp.send_message(mail, sender, [to])


# The guest's browser, by WebDriver.

class Elsewhere(Exception):
    """The page that was asked about has just become another one."""


class Browser:
    def __init__(self):
        self.driver = subprocess.Popen(["chromedriver", f"--port={DRIVER}", "--silent"])
        wait_for("chromedriver", lambda: connects(DRIVER))
        self.session = None

    def ask(self, method, path, body=None):
        data = None if method == "GET" else json.dumps(body or {}).encode()
        url = f"http://127.0.0.1:{DRIVER}{path}"
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            said = error.read().decode()
            if any(reason in said for reason in ("stale element reference", "no such element")):
                raise Elsewhere(path) from error
            raise SystemExit(f"FAILED  {method} {path}: {said[:500]}") from error

    def open(self, width, height, dark=False):
        """A browser without script; one that is narrower than a desktop's window is a phone."""
        self.close()
        words = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--lang=en", f"--window-size={width},{height}"]
        if dark:
            words.append("--force-dark-mode")
            words.append("--blink-settings=preferredColorScheme=0")
        chrome = {"args": words, "prefs": {"profile.managed_default_content_settings.javascript": 2}}
        if width < 500:
            chrome["mobileEmulation"] = {"deviceMetrics": {"width": width, "height": height, "pixelRatio": 2}}
        wanted = {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": chrome}}}
        self.session = "/session/" + self.ask("POST", "/session", wanted)["sessionId"]

    def go(self, url):
        self.ask("POST", f"{self.session}/url", {"url": url})

    def element(self, css, method, what, body=None):
        """Asks about an element, again when the page changed between finding it and asking."""
        def look():
            try:
                found = self.ask("POST", f"{self.session}/element", {"using": "css selector", "value": css})
                return (self.ask(method, f"{self.session}/element/{next(iter(found.values()))}/{what}", body),)
            except Elsewhere:
                return None
        return wait_for(f"{css} on the page", look, 20)[0]

    def click(self, css):
        self.element(css, "POST", "click")

    def type(self, css, text):
        self.element(css, "POST", "value", {"text": text})

    def text(self):
        return self.element("main", "GET", "text")

    def picture(self, name):
        png = base64.b64decode(self.ask("GET", f"{self.session}/screenshot"))
        PICTURES.mkdir(parents=True, exist_ok=True)
        (PICTURES / f"{name}.png").write_bytes(png)

    def close(self):
        if self.session:
            self.ask("DELETE", self.session)
            self.session = None

    def end(self):
        self.close()
        self.driver.terminate()
        self.driver.wait()


MEETING = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//Example Corp.//CalDAV Client//EN
BEGIN:VTIMEZONE
TZID:Europe/Berlin
BEGIN:STANDARD
DTSTART:19961027T030000
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:19810329T020000
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
END:DAYLIGHT
END:VTIMEZONE
BEGIN:VEVENT
UID:lunch@cal.test
DTSTAMP:20261120T090000Z
DTSTART;TZID=Europe/Berlin:20300107T120000
DTEND;TZID=Europe/Berlin:20300107T130000
SUMMARY:Lunch
LOCATION:Harbour
ORGANIZER;CN=Alice Adams:mailto:alice@cal.test
ATTENDEE;CN=Alice Adams;PARTSTAT=ACCEPTED:mailto:alice@cal.test
ATTENDEE;CN=Anna;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:anna@guests.test
ATTENDEE;CN=Ben;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:ben@guests.test
ATTENDEE;CN=Cleo;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:cleo@guests.test
ATTENDEE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:nobody-here@guests.test
END:VEVENT
END:VCALENDAR
""".replace("\n", "\r\n")


def invited():
    put(MEETING)
    mail = newest("anna", "METHOD:REQUEST")
    parts = [part.get_content_type() for part in mail.walk()]
    layout = ["multipart/mixed", "multipart/alternative", "text/plain", "text/html", "text/calendar", "application/ics"]
    check("the layout of the invitation", parts == layout, parts)
    check("ORGANIZER is a reply address", "calendar+" in value(calendar_of(mail), "ORGANIZER"))
    step("an organizer by CalDAV invites three people outside")
    return mail


def answered_by_mail(mail):
    answer("anna", mail, "REPLY", "ACCEPTED", ["COMMENT:With pleasure"])
    line = wait_for("anna's answer", lambda: (l := attendee(meeting(), "anna@")) and "PARTSTAT=ACCEPTED" in l and l)
    check("her comment", "With pleasure" in line, line)
    check("the others' answers", "NEEDS-ACTION" in attendee(meeting(), "ben@"), meeting())
    check("the title", "SUMMARY:Lunch" in meeting(), meeting())
    step("a guest answers by mail")


def bounced():
    line = wait_for("the bounce", lambda: (l := attendee(meeting(), "nobody-here@")) and "SCHEDULE-STATUS" in l and "5.1" in l and l)
    check("nobody answered for them", "NEEDS-ACTION" in line, line)
    step("a bounce becomes SCHEDULE-STATUS 5.1")


def answered_on_the_page():
    mail = newest("ben", "METHOD:REQUEST")
    text = mail.get_body(("plain",)).get_content()
    link = re.search(rf"{re.escape(URL)}/rsvp/\S+", text).group(0)
    browser = Browser()
    try:
        before = meeting()
        browser.open(1000, 1100)
        browser.go(link)
        browser.picture("rsvp-light")
        check("the page shows the meeting", "Lunch" in browser.text() and "Harbour" in browser.text(), browser.text())
        check("looking changes nothing", meeting() == before)
        browser.click("label.declined")
        browser.type("#comment", "In the mountains")
        browser.click("button[value=answer]")
        wait_for("thanks", lambda: "Thank you" in browser.text())
        browser.picture("rsvp-thanks")
        line = attendee(meeting(), "ben@")
        check("the organizer sees it at once", "PARTSTAT=DECLINED" in line and "In the mountains" in line, line)
        check("what was answered before", "No" in browser.text() and "In the mountains" in browser.text(), browser.text())
        check("times in the meeting's zone", "12:00 pm – 1:00 pm (Europe/Berlin, UTC+1)" in browser.text(), browser.text())
        browser.click("details.zone summary")
        browser.click("#zone option[value='Asia/Tokyo']")
        browser.click("button[value=zone]")
        wait_for("times in the guest's zone", lambda: "8:00 pm – 9:00 pm (Asia/Tokyo, UTC+9)" in browser.text())
        browser.click("details.propose summary")
        browser.picture("rsvp-zone")
        for dark in [False, True]:
            browser.open(390, 844, dark)
            browser.go(link)
            browser.picture("rsvp-phone-dark" if dark else "rsvp-phone")
    finally:
        browser.end()
    step("a guest answers on the page, in a browser without script")


def countered():
    mail = newest("cleo", "METHOD:REQUEST")
    times = ["DTSTART;TZID=Europe/Berlin:20300107T133000", "DTEND;TZID=Europe/Berlin:20300107T143000"]
    answer("cleo", mail, "COUNTER", "TENTATIVE", times + ["COMMENT:Later?"])
    proposal = wait_for("the proposal", lambda: next((item for item in inbox() if "METHOD:COUNTER" in item), None))
    check("the proposed time", "133000" in proposal or "T123000Z" in proposal, proposal)
    check("a proposal changes nothing", "T120000" in value(meeting(), "DTSTART"), meeting())
    put(meeting().replace("20300107T120000", "20300107T133000").replace("20300107T130000", "20300107T143000"))
    mail = newest("cleo", "20300107T133000")
    check("a new SEQUENCE", value(calendar_of(mail), "SEQUENCE") == "SEQUENCE:1", calendar_of(mail))
    answer("cleo", mail, "REPLY", "ACCEPTED")
    wait_for("cleo's answer", lambda: "PARTSTAT=ACCEPTED" in attendee(meeting(), "cleo@"))
    step("a guest proposes another time, the organizer follows, the guest accepts")


def outage():
    stopped = postfix("stop")
    check("postfix stops", stopped.returncode == 0, stopped.stderr)
    put(meeting().replace("LOCATION:Harbour", "LOCATION:Old Town"))
    waiting = wait_for("a mail that waits", lambda: (o := command("mail", "list").stdout.decode()) and "anna@" in o and o)
    check("nobody got it", not any("Old Town" in calendar_of(mail) for mail in mails("anna")), waiting)
    check("postfix starts again", postfix("start").returncode == 0)
    newest("anna", "LOCATION:Old Town")
    wait_for("an empty queue", lambda: "anna@" not in command("mail", "list").stdout.decode(), 90)
    told = newest("ben", "LOCATION:Old Town").get_body(("plain",)).get_content()
    check("a guest's mail is in the zone they chose", "(Asia/Tokyo, UTC+9)" in told, told)
    check("one mail, not two", sum("Old Town" in calendar_of(mail) for mail in mails("anna")) == 1)
    step("an outage of the mail server delays a mail and loses none")


def invited_from_outside():
    calendar = MEETING.replace("lunch@cal.test", "jour-fixe@guests.test").replace("SUMMARY:Lunch", "SUMMARY:Jour fixe")
    calendar = re.sub(r"ORGANIZER.*?\r\n(ATTENDEE.*?\r\n)+", "ORGANIZER;CN=Otto:mailto:otto@guests.test\r\nATTENDEE;RSVP=TRUE:mailto:alice@cal.test\r\n", calendar, flags=re.S)
    calendar = calendar.replace("VERSION:2.0\r\n", "VERSION:2.0\r\nMETHOD:REQUEST\r\n")
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Otto <otto@guests.test>", "alice@cal.test", "Jour fixe"
    mail["Message-ID"] = "<jour-fixe-1@guests.test>"
    mail.set_content("Please come.")
    mail.add_alternative(calendar.encode(), "text", "calendar", params={"method": "REQUEST", "charset": "utf-8"})
    send("otto@guests.test", "alice@cal.test", mail)
    name = "jour-fixe@guests.test.ics"
    text = wait_for("the invitation in the calendar", lambda: meeting(name))
    check("it waits for an answer", "NEEDS-ACTION" in attendee(text, "alice@"), text)
    answered = re.sub(r"(ATTENDEE[^\r\n]*?)PARTSTAT=NEEDS-ACTION", r"\1PARTSTAT=ACCEPTED", text)
    put(answered, name)
    mail = newest("otto", "METHOD:REPLY")
    calendar = calendar_of(mail)
    check("the answer", "PARTSTAT=ACCEPTED" in value(calendar, "ATTENDEE"), calendar)
    check("its organizer", "otto@guests.test" in value(calendar, "ORGANIZER"), calendar)
    check("its attendee", "alice@cal.test" in value(calendar, "ATTENDEE"), calendar)
    step("a local attendee answers an organizer outside from a CalDAV client")
    forged = EmailMessage()
    forged["From"], forged["To"], forged["Subject"] = "eve@elsewhere.test", "alice@cal.test", "Canceled"
    forged.set_content("x")
    cancel = calendar_of(mails("otto")[-1]).replace("METHOD:REPLY", "METHOD:CANCEL").replace("SEQUENCE:0", "SEQUENCE:7")
    forged.add_alternative(cancel.encode(), "text", "calendar", params={"method": "CANCEL", "charset": "utf-8"})
    send("eve@elsewhere.test", "alice@cal.test", forged)
    held = wait_for("the forged cancellation", lambda: (o := command("mail", "held", "list").stdout.decode()) and "eve@" in o and o, 10)
    check("the meeting stands", "STATUS:CANCELLED" not in meeting(name), held)
    step("somebody else's cancellation waits and changes nothing")


def other_ways(server):
    invitation = newest("anna", "LOCATION:Old Town")
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() + 60))
    reply = answer("anna", invitation, "REPLY", "DECLINED", to="answers@guests.test", stamp=stamp)
    server.terminate()
    check("the server stops", server.wait(30) == 0)
    settings(f"""
[mail.imap]
host = "127.0.0.1"
port = {IMAP}
security = "none"
user = "answers"
password_file = "{DIR}/answers.password"
""")
    server = start_server()
    wait_for("an answer from the mailbox", lambda: "PARTSTAT=DECLINED" in attendee(meeting(), "anna@"))
    step("an answer comes from a mailbox by IMAP")
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() + 120))
    answer("anna", invitation, "REPLY", "TENTATIVE", to="answers@guests.test", stamp=stamp)
    wait_for("an answer that IDLE told of", lambda: "PARTSTAT=TENTATIVE" in attendee(meeting(), "anna@"), 20)
    step("the mailbox tells of a new mail by IDLE")
    again = command("mail", "receive", given=reply.as_bytes())
    check("mail receive", again.returncode == 0 and b"Stale" in again.stdout, again.stdout + again.stderr)
    check("an older answer does nothing", "PARTSTAT=TENTATIVE" in attendee(meeting(), "anna@"), meeting())
    step("`kalends mail receive` takes a mail, and an old answer does nothing")
    return server


def main():
    dovecot = start_mail_systems()
    settings()
    added = command("user", "add", "alice", "--name", "Alice Adams", "--address", "alice@cal.test", "--password-stdin", given=b"not-so-secret\n")
    check("alice", added.returncode == 0, added.stderr)
    server = start_server()
    try:
        answered_by_mail(invited())
        bounced()
        answered_on_the_page()
        countered()
        outage()
        invited_from_outside()
        server = other_ways(server)
    except BaseException:
        for log in ["server.log", "postfix.log", "dovecot.log"]:
            if (DIR / log).exists():
                print(f"--- {log}\n" + "\n".join((DIR / log).read_text().splitlines()[-60:]))
        raise
    finally:
        server.terminate()
        server.wait()
        postfix("stop")
        dovecot.terminate()
        dovecot.wait()
        shutil.rmtree(DIR, ignore_errors=True)
    print(f"mail systems: {len(PASSED)} passed")


main()
