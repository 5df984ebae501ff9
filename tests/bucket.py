"""A bucket to test with."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def s3_bucket() -> Iterator[str]:
    """A bucket of a real S3 server on this machine, and the settings that lead to it; its URL with a path."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "of this test alone",
        }.items():  # fmt: skip
            patch.setenv(name, value)
        name = f"images-{uuid4().hex}"  # servers of one process share what they keep
        urlopen(Request(f"http://{host}:{port}/{name}", method="PUT")).close()
        yield f"s3://{name}/room"
    server.stop()
