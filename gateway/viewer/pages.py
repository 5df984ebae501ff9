"""The pages that do not load OHIF: log-in, board, readers and rules. Each is a shell around one built module."""

from __future__ import annotations

_SHELL = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="dark">
<meta name="theme-color" content="#07090d">
<title>{title} · Reading Room</title>
<link rel="icon" href="/rr-ext/mark.svg" type="image/svg+xml">
<link rel="stylesheet" href="/rr-ext/{name}.css">
<script type="module" src="/rr-ext/{name}.mjs"></script>
</head>
<body><noscript>This page needs JavaScript.</noscript><div id="app"></div></body>
</html>
"""

LOGIN = _SHELL.format(title="Sign in", name="login")
BOARD = _SHELL.format(title="Board", name="board")
STAFF = _SHELL.format(title="Readers and rules", name="staff")
MISSING = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Not built · Reading Room</title></head>
<body><h1>The viewer is not built</h1>
<p>Run <code>make setup</code>, then load this page again. The server itself is up.</p></body></html>
"""
