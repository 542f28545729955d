"""The official client of ElevenLabs, unchanged but for the base URL."""

import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from place import SIMULATOR, invalidate

from elevenlabs.client import ElevenLabs
from elevenlabs.core import ApiError
from elevenlabs.errors import UnprocessableEntityError

client = ElevenLabs(api_key="k", base_url=SIMULATOR + "/elevenlabs")
VOICE, MODEL = "21m00Tcm4TlvDq8ikWAM", "eleven_multilingual_v2"


def speech():
    said = b"".join(client.text_to_speech.convert(VOICE, text="hello", model_id=MODEL, output_format="mp3_44100_128"))
    assert len(said) > 1000 and (said[:3] == b"ID3" or said[0] == 0xFF)
    assert b"".join(client.text_to_speech.stream(VOICE, text="hello", model_id=MODEL)) == said
    bare = b"".join(client.text_to_speech.convert(VOICE, text="hello", model_id=MODEL, output_format="pcm_24000"))
    assert len(bare) == 48000
    raw = client.text_to_speech.with_raw_response.convert(VOICE, text="hello", model_id=MODEL)
    with raw as response:
        assert response.headers["character-cost"] == "5" and response.headers["request-id"], response.headers
        b"".join(response.data)


def times():
    said = client.text_to_speech.convert_with_timestamps(VOICE, text="hello", model_id=MODEL)
    assert said.audio_base_64 and said.alignment.characters == list("hello"), said
    assert said.alignment.character_end_times_seconds[-1] == 2.0, said.alignment


def lists():
    assert VOICE in [voice.voice_id for voice in client.voices.get_all().voices]
    assert VOICE in [voice.voice_id for voice in client.voices.search().voices]
    assert MODEL in [model.model_id for model in client.models.list()]


def errors():
    invalidate("elevenlabs", "bad")
    other = ElevenLabs(api_key="bad", base_url=SIMULATOR + "/elevenlabs")
    for who, voice, text, code, word in [
        (other, VOICE, "hi", 401, "invalid_api_key"),
        (client, "nobody", "hi", 404, "voice_not_found"),
        (client, VOICE, "x" * 10001, 400, "max_character_limit_exceeded"),
    ]:
        try:
            b"".join(who.text_to_speech.convert(voice, text=text, model_id=MODEL))
        except ApiError as error:
            assert error.status_code == code and error.body["detail"]["status"] == word, error
        else:
            raise AssertionError(word)
    try:
        b"".join(client.text_to_speech.convert(VOICE, text="", model_id=MODEL))
    except UnprocessableEntityError as error:
        assert error.status_code == 422
    else:
        raise AssertionError("nothing to say")


speech()
times()
lists()
errors()
