"""Makes a user of the Cyrus in the folder CYRUS_DIR: cyrus_user.py NAME, the password on standard input.

Calendars live in mailboxes, and those are made over IMAP.
"""

import imaplib
import os
import subprocess
import sys
import time

name = sys.argv[1]
passwords = os.environ["CYRUS_DIR"] + "/sasldb2"
command = ["saslpasswd2", "-p", "-c", "-f", passwords, "-u", "localhost", name]
subprocess.run(command, input=sys.stdin.read().strip(), text=True, check=True)
for _ in range(50):
    try:
        mail = imaplib.IMAP4("127.0.0.1", 5235)
        break
    except OSError:
        time.sleep(0.2)
else:
    sys.exit("Cyrus takes no connections")
mail.login("cyrus", "cyrus")
answer, detail = mail.create("user/" + name)
mail.logout()
if answer != "OK":
    sys.exit(f"{name}: {detail}")
