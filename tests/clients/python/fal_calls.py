"""The official client of fal, unchanged but for the base URL, which it has no setting for."""

import asyncio

import fal_client
import fal_client.client as client
import httpx

from place import FAL as BASE, invalidate, png

# FAL_QUEUE_RUN_HOST forces https.
client.QUEUE_URL_FORMAT = BASE + "/"
client.RUN_URL_FORMAT = BASE + "/run/"
client.REST_URL = client.CDN_URL = BASE


def submit_and_follow():
    handle = fal_client.submit("fal-ai/flux/dev", arguments={"prompt": "a mug", "num_images": 2}, start_timeout=30)
    status = handle.status(with_logs=True)
    assert isinstance(status, (fal_client.Queued, fal_client.InProgress, fal_client.Completed)), status
    output = handle.get()
    assert len(output["images"]) == 2 and output["has_nsfw_concepts"] == [False, False], output
    picture = httpx.get(output["images"][0]["url"])
    assert picture.headers["content-type"] == "image/jpeg" and picture.content[:3] == b"\xff\xd8\xff"
    assert isinstance(fal_client.status("fal-ai/flux/dev", handle.request_id), fal_client.Completed)
    assert fal_client.result("fal-ai/flux/dev", handle.request_id)["images"] == output["images"]


def subscribe():
    seen = []
    output = fal_client.subscribe(
        "fal-ai/minimax/video-01", arguments={"prompt": "a mug"}, with_logs=True, on_queue_update=seen.append
    )
    assert output["video"]["url"].endswith(".mp4") and isinstance(seen[-1], fal_client.Completed), (output, seen)


def run():
    output = fal_client.run("fal-ai/nano-banana", arguments={"prompt": "a mug"})
    assert output["images"][0]["content_type"] == "image/png", output


def cancel():
    handle = fal_client.submit("fal-ai/kling-video/v1.6/pro/text-to-video", arguments={"prompt": "a mug"})
    handle.cancel()
    try:
        output = handle.get()
    except Exception as error:
        assert "499" in str(error) or "cancelled" in str(error), error
    else:
        raise AssertionError(output)


def upload_and_edit():
    url = fal_client.upload(png(), "image/png", file_name="mug.png")
    assert httpx.get(url).content == png()
    output = fal_client.subscribe("fal-ai/birefnet/v2", arguments={"image_url": url})
    assert httpx.get(output["image"]["url"]).content[:4] == b"\x89PNG", output


def errors():
    try:
        fal_client.subscribe("fal-ai/flux-pro/kontext", arguments={"prompt": "a mug"})
    except fal_client.FalClientHTTPError as error:
        assert error.status_code == 422 and "image_url" in str(error), error
    else:
        raise AssertionError("an edit without a picture")
    invalidate("fal", "bad:key")
    try:
        fal_client.SyncClient(key="bad:key").submit("fal-ai/flux/dev", arguments={"prompt": "a mug"})
    except fal_client.FalClientHTTPError as error:
        assert error.status_code == 401, error
    else:
        raise AssertionError("a bad key")


async def asynchronous():
    handle = await fal_client.submit_async("fal-ai/flux/dev", arguments={"prompt": "a mug"})
    async for event in handle.iter_events(with_logs=True, interval=0.05):
        last = event
    assert isinstance(last, fal_client.Completed), last
    assert (await handle.get())["images"], "no pictures"


submit_and_follow()
subscribe()
run()
cancel()
upload_and_edit()
errors()
asyncio.run(asynchronous())
