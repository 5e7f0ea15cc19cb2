"""Device-bound sessions: a stolen cookie is worth nothing on another device.

The W3C's Device Bound Session Credentials (DBSC), as Chromium 156 speaks them. A
browser registers a key that does not leave the device, and proves with it, every few
minutes, that it still has it; for each proof it gets a short-lived *bound cookie*.
`proof` verifies what browsers sign, `seals` makes what the server hands out, `wire` the
headers and the JSON, `binding` changes the record; `gate` decides on a request, and
`routes` answers the browser.

Needs the extra ``dbsc``. Imported only where ``SRVSESSION_DBSC`` is on.
"""
