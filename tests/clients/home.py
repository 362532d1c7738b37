"""Prints the URL of a user's calendar home, found by current-user-principal and calendar-home-set."""

import base64
import sys
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ET

url, user, password = sys.argv[1:4]
token = base64.b64encode(f"{user}:{password}".encode()).decode()
CALDAV = "urn:ietf:params:xml:ns:caldav"


def href(at, namespace, name):
    body = f'<D:propfind xmlns:D="DAV:"><D:prop><p:{name} xmlns:p="{namespace}"/></D:prop></D:propfind>'
    headers = {"Depth": "0", "Content-Type": "application/xml", "Authorization": f"Basic {token}"}
    request = urllib.request.Request(at, data=body.encode(), method="PROPFIND", headers=headers)
    with urllib.request.urlopen(request) as answer:
        tree = ET.fromstring(answer.read())
    found = tree.find(f".//{{{namespace}}}{name}/{{DAV:}}href")
    return urllib.parse.urljoin(at, found.text.strip())


principal = href(url, "DAV:", "current-user-principal")
home = href(principal, CALDAV, "calendar-home-set")
print(home if home.endswith("/") else home + "/")
