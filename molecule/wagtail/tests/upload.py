# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run on the machine by its own python3: logs into Wagtail's admin as an editor does and uploads an image.

Prints the address of the image. Usage: python3 upload.py DOMAIN USER PASSWORD
"""

from __future__ import annotations

import http.cookiejar
import re
import struct
import sys
import urllib.parse
import urllib.request
import zlib


def png(width, height):
    """A red PNG of this size."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = (b"\0" + b"\xff\0\0" * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def main(domain, user, password):
    opener = urllib.request.build_opener(
        urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy()))
    )

    def ask(path, data=None, kind="application/x-www-form-urlencoded"):
        headers = {"Host": domain, "Referer": f"https://{domain}{path}"}
        if data is not None:
            headers["Content-Type"] = kind
        request = urllib.request.Request(f"http://127.0.0.1{path}", data, headers)
        return opener.open(request, timeout=30).read().decode()

    def token(page):
        return re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page).group(1)

    login = {"csrfmiddlewaretoken": token(ask("/admin/login/")), "username": user, "password": password}
    # Not followed: the answer points to https, which ends in front of this machine.
    opener.add_handler(NoRedirect())
    ask("/admin/login/", urllib.parse.urlencode(login).encode())
    fields = {"csrfmiddlewaretoken": token(ask("/admin/images/add/")), "title": "red", "collection": "1"}
    parts = [f'--xyz\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields.items()]
    head = (
        b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="red.png"\r\nContent-Type: image/png\r\n\r\n'
    )
    body = b"".join([*parts, head, png(640, 480), b"\r\n--xyz--\r\n"])
    ask("/admin/images/add/", body, "multipart/form-data; boundary=xyz")
    listing = ask("/admin/images/")
    print(re.search(r'src="(/media/images/[^"]+)"', listing).group(1))


class NoRedirect(urllib.request.HTTPErrorProcessor):
    """Hands a redirect back as an answer."""

    def http_response(self, request, response):
        if response.status in (301, 302):
            return response
        return super().http_response(request, response)


if __name__ == "__main__":
    main(*sys.argv[1:])
