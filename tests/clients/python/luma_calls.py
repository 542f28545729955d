"""The official client of Luma, unchanged but for the base URL."""

import sys
import time

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from place import SIMULATOR, invalidate

import httpx
import lumaai

client = lumaai.LumaAI(auth_token="k", base_url=SIMULATOR + "/luma/dream-machine/v1", max_retries=0)


def ended(id):
    until = time.monotonic() + 20
    while True:
        made = client.generations.get(id)
        if made.state in ("completed", "failed"):
            return made
        assert made.state in ("queued", "dreaming") and time.monotonic() < until, made
        time.sleep(0.05)


def films():
    frames = {"frame0": {"type": "image", "url": "https://x/y.png"}}
    for create in (client.generations.create, client.generations.video.create):
        made = create(model="ray-2", prompt="a mug", duration="5s", resolution="720p", keyframes=frames)
        assert made.state == "queued" and made.request.keyframes.frame0.url == "https://x/y.png", made
        made = ended(made.id)
        assert made.state == "completed" and made.generation_type == "video" and made.created_at, made
        assert httpx.get(made.assets.video).content[4:8] == b"ftyp"


def pictures():
    made = client.generations.image.create(model="photon-1", prompt="a mug", aspect_ratio="1:1")
    assert httpx.get(ended(made.id).assets.image).content[:3] == b"\xff\xd8\xff"
    made = client.generations.image.create(model="photon-1", prompt="a mug", format="png", sync=True)
    assert made.state == "completed" and httpx.get(made.assets.image).content[:4] == b"\x89PNG", made


def list_and_delete():
    made = client.generations.create(model="ray-2", prompt="a mug")
    assert made.id in [known.id for known in client.generations.list(limit=5).generations]
    client.generations.delete(made.id)
    try:
        client.generations.get(made.id)
    except lumaai.NotFoundError:
        pass
    else:
        raise AssertionError("it is still there")


def errors():
    invalidate("luma", "bad")
    assert client.ping.check().message == "pong" and client.credits.get().credit_balance > 0
    for kind, call in [
        (lumaai.AuthenticationError, lambda: client.with_options(auth_token="bad").ping.check()),
        (lumaai.BadRequestError, lambda: client.generations.create(model="ray-2")),
    ]:
        try:
            call()
        except kind:
            pass
        else:
            raise AssertionError(kind)


films()
pictures()
list_and_delete()
errors()
