"""The official client of Runway, unchanged but for the base URL."""

import sys
import time

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from place import SIMULATOR, invalidate

import httpx
import runwayml

client = runwayml.RunwayML(api_key="k", base_url=SIMULATOR + "/runway", max_retries=0)


def film(**call):
    wanted = {"model": "gen4_turbo", "prompt_image": "https://x/y.png", "prompt_text": "a mug", "ratio": "1280:720", "duration": 5}
    return client.image_to_video.create(**{**wanted, **call})


def ended(id):
    until = time.monotonic() + 20
    while True:
        task = client.tasks.retrieve(id)
        if task.status in ("SUCCEEDED", "FAILED", "CANCELLED"):
            return task
        assert task.status in ("PENDING", "THROTTLED", "RUNNING") and time.monotonic() < until, task
        time.sleep(0.05)


def films():
    made = film()
    assert made.estimated_cost.credits > 0, made
    task = ended(made.id)
    assert task.status == "SUCCEEDED" and task.cost.credits > 0, task
    assert httpx.get(task.output[0]).content[4:8] == b"ftyp"
    made = client.text_to_video.create(model="gen4.5", prompt_text="a mug", ratio="1280:720", duration=5)
    assert ended(made.id).status == "SUCCEEDED"


def pictures():
    made = client.text_to_image.create(model="gen4_image", prompt_text="a mug", ratio="1280:720")
    assert httpx.get(ended(made.id).output[0]).content[:4] == b"\x89PNG"


def delete():
    made = film()
    client.tasks.delete(made.id)
    try:
        client.tasks.retrieve(made.id)
    except runwayml.NotFoundError:
        pass
    else:
        raise AssertionError("it is still there")


def errors():
    invalidate("runway", "bad")
    for kind, call in [
        (runwayml.AuthenticationError, lambda: client.with_options(api_key="bad").tasks.retrieve("x")),
        (runwayml.NotFoundError, lambda: client.tasks.retrieve("x")),
        (runwayml.BadRequestError, lambda: film(ratio="wide")),
        (runwayml.BadRequestError, lambda: film(extra_headers={"X-Runway-Version": "2000-01-01"})),
    ]:
        try:
            call()
        except kind:
            pass
        else:
            raise AssertionError(kind)


films()
pictures()
delete()
errors()
