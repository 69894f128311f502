"""What a chat may hold: text, our file part, and no way into the host or its network."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from app.api.body_limits import BodyLimits
from app.api.routes.chat_body import FOR_THE_ENGINE, read_chat
from app.settings import Settings
from tests.conftest import Serve
from tests.doubles import PlainEngine, ScriptedEngine, WordTokenizer
from tests.service import Service


class Listener:
    """A server in the host's own network that nobody may ask."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/secret.png"
        self.asked: list[bytes] = []
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(1)
                self.asked.append(connection.recv(4096))
                connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    def close(self) -> None:
        self._closed.set()
        self._thread.join()
        self._socket.close()


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    listening = Listener()
    yield listening
    listening.close()


URL = "URL"
PARTS: list[Any] = [
    {"type": "image_url", "image_url": {"url": URL}},
    {"type": "image_url", "image_url": URL},
    {"type": "input_image", "image_url": URL},
    {"type": "audio_url", "audio_url": {"url": URL}},
    {"type": "video_url", "video_url": {"url": URL}},
    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    {"type": "image_embeds", "image_embeds": "AAAA"},
    {"type": "audio_embeds", "audio_embeds": "AAAA"},
    {"type": "video_embeds", "video_embeds": "AAAA"},
    {"type": "prompt_embeds", "data": "AAAA"},
    {"type": "image_pil", "image_pil": "AAAA"},
    {"type": "tool_reference", "name": "x"},
    {"type": "input_file", "file_url": URL},
    {"type": "document", "source": {"type": "url", "url": URL}},
    # vLLM takes what has no type by its key, and what has a uuid too.
    {"image_url": URL},
    {"image_url": {"url": URL}},
    {"type": None, "image_url": URL},
    {"type": "text", "uuid": "1", "image_url": URL},
    {"type": "text", "text": "Look", "image_url": {"url": URL}},
    {"type": "text", "text": "Look", "uuid": "1", "video_url": URL},
    {"type": ["image_url"], "image_url": URL},
    {"type": "Image_URL", "image_url": URL},
    {"type": "text"},
    {"type": "text", "text": None},
    {"type": "text", "text": {"url": URL}},
    {"type": "text", "text": "x", "file": {}},
    {"type": "file", "text": "x"},
    {},
    [],
    None,
    7,
    URL,
    [{"type": "image_url", "image_url": {"url": URL}}],
]


def with_url(value: Any, url: str) -> Any:
    return json.loads(json.dumps(value).replace(URL, url))


def ask(service: Service | httpx.Client, body: Any) -> httpx.Response:
    base = service.url if isinstance(service, Service) else service.base_url
    return httpx.post(f"{base}/v1/chat/completions", json=body, timeout=60)


def code_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: json.dumps(part)[:60])
def test_a_part_that_is_no_text_is_refused_and_nothing_is_fetched(
    service: Service, listener: Listener, part: Any
) -> None:
    part = with_url(part, listener.url)
    for content in ([part], [{"type": "text", "text": "Look"}, part]):
        body = {"model": "smollm2", "messages": [{"role": "user", "content": content}]}
        refused = ask(service, {**body, "max_tokens": 1})
        assert code_of(refused) == (400, "unsupported_content_part"), refused.text
    assert not listener.asked


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant", "tool", "anyone"])
def test_in_every_message_of_every_role(service: Service, listener: Listener, role: str) -> None:
    part = {"type": "image_url", "image_url": {"url": listener.url}}
    odd: dict[str, Any] = {"role": role, "content": [part], "tool_call_id": "1"}
    hello = {"role": "user", "content": "Hello"}
    for messages in ([odd, hello], [hello, odd], [hello, odd, hello]):
        refused = ask(service, {"messages": messages, "max_tokens": 1})
        assert code_of(refused) == (400, "unsupported_content_part")
        assert refused.json()["error"]["param"] == f"messages.{messages.index(odd)}.content"
    assert not listener.asked


@pytest.mark.parametrize("content", [{"type": "image_url", "image_url": URL}, 7, True])
def test_content_that_is_neither_text_nor_parts(
    service: Service, listener: Listener, content: Any
) -> None:
    body = {"messages": [{"role": "user", "content": with_url(content, listener.url)}]}
    assert code_of(ask(service, body)) == (400, "unsupported_content_part")
    assert not listener.asked


def test_beside_a_paper_too(service: Service, listener: Listener) -> None:
    picture = {"type": "image_url", "image_url": {"url": listener.url}}
    file = {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}}
    body = {"messages": [{"role": "user", "content": [file, picture]}]}
    assert code_of(ask(service, body)) == (400, "unsupported_content_part")
    assert not listener.asked


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("chat_template", "{{ messages }}"),
        ("chat_template_kwargs", {"chat_template": "{{ messages }}"}),
        ("chat_template_kwargs", {"tools": [{"image_url": URL}]}),
        ("mm_processor_kwargs", {"images": [URL]}),
        ("media_io_kwargs", {"image": {"fetch": URL}}),
        ("kv_transfer_params", {"remote_host": URL}),
        ("ec_transfer_params", {"remote_host": URL}),
        ("vllm_xargs", {"kv_transfer_params": URL}),
        ("request_id", "mine"),
        ("priority", -1),
        ("custom_logit_processor", "pickled"),
        ("lora_path", "/etc"),
        ("images", [URL]),
        ("samples", 2),
    ],
)
def test_parameters_that_reach_further_are_refused(
    service: Service, listener: Listener, field: str, value: Any
) -> None:
    hello = [{"role": "user", "content": "Hello"}]
    body = {"messages": hello, "max_tokens": 1, field: with_url(value, listener.url)}
    refused = ask(service, body)
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] in (field, "chat_template_kwargs")
    assert not listener.asked


def test_a_message_with_more_than_a_message_has(service: Service) -> None:
    body = {"messages": [{"role": "user", "content": "Hello", "images": ["x"]}]}
    assert code_of(ask(service, body)) == (400, "unknown_field")


def test_an_upstream_gets_none_of_it_either(listener: Listener) -> None:
    """What is refused is not sent on: the engine that passes chats on is never asked."""
    chat = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": listener.url}}]}
    limits = BodyLimits.of(Settings(engine="upstream", upstream_url=listener.url))
    with pytest.raises(Exception, match="URLs, images and audio are not supported"):
        read_chat(json.dumps({"messages": [chat]}).encode(), limits)


def test_an_answer_of_the_sdk_can_be_sent_back(sdk: openai.OpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": [{"type": "text", "text": "Say hello."}]}]
    for _ in range(2):
        answer = sdk.chat.completions.create(model="smollm2", messages=messages, max_tokens=4)
        messages += [answer.choices[0].message.model_dump(), {"role": "user", "content": "Again."}]
    assert answer.choices[0].message.content


def test_what_goes_on_is_what_was_checked(serve: Serve) -> None:
    """A name that stands twice can't be read in two ways."""
    engine = ScriptedEngine(WordTokenizer())
    client = serve(engine, Settings())
    part = b'{"type": "image_url", "text": "a", "type": "text", "text": "b"}'
    body = b'{"top_p": 9, "top_p": 0.5, "messages": [{"role": "user", "content": [%s]}]}' % part
    client.post("/v1/chat/completions", content=body).raise_for_status()
    content = [{"type": "text", "text": "b"}]
    sent = {"top_p": 0.5, "messages": [{"role": "user", "content": content}]}
    assert json.loads(engine.chats[0]) == sent
    assert b"image_url" not in engine.chats[0]


REFUSED = {
    "chat_template",
    "mm_processor_kwargs",
    "media_io_kwargs",
    "mm_payload",
    "return_mm_kwargs",
    "kv_transfer_params",
    "ec_transfer_params",
    "vllm_xargs",
    "priority",
    "request_id",
    "routed_experts_prompt_start",
}
"""They fetch, load or render what the request says, or reach into other requests."""


def test_each_of_vllms_parameters_has_been_decided_on() -> None:
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest

    names = set(ChatCompletionRequest.model_fields)
    assert names - FOR_THE_ENGINE == REFUSED
    assert not REFUSED & FOR_THE_ENGINE


LIMITS = BodyLimits(upload=1_000_000, json=12_000_000)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[" + b"[]," * 3_900_000 + b"1]", "request_too_large"),
        (b'{"messages": [' + b"[]," * 3_900_000 + b"1]}", "request_too_large"),
        (b'{"messages": [' + b"[]," * 400_000 + b"1]}", "invalid_value"),
        (b'{"messages": [' + b"{}," * 3_900_000 + b"1]}", "request_too_large"),
        (b'{"tools": [' + b"[]," * 400_000 + b"1]}", "request_too_large"),
        (b'{"metadata": ' + b"[" * 400_000 + b"}", "invalid_json"),
        (b"{" + b",".join(b'"a%d":1' % n for n in range(1_000_000)) + b"}", "unknown_field"),
        (b'{"' + b"a" * 11_000_000 + b'": 1}', "unknown_field"),
        (b'{"messages": [' + b",".join([b'{"role":"user"}'] * 2000) + b"]}", "invalid_value"),
        (b'{"user": "' + b"a" * 12_000_000 + b'"}', "request_too_large"),
        (b'{"file": "' + b"a" * 12_000_000 + b'"}', "unknown_field"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[:20].decode(),
)
def test_a_large_body_of_nothing_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(Exception) as refused:  # noqa: PT011  # the code says which
        read_chat(body, LIMITS)
    assert refused.value.code == code  # type: ignore[attr-defined]
    assert len(str(refused.value)) < 1000


def test_the_paper_in_a_chat_may_be_as_large_as_in_a_form() -> None:
    encoded = "A" * (4 * LIMITS.upload // 3)
    file = {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{encoded}"}}
    body = json.dumps({"messages": [{"role": "user", "content": [file]}]}).encode()
    assert len(read_chat(body, BodyLimits(LIMITS.upload, json=1000)).files) == 1
    with pytest.raises(Exception, match="Without its file"):
        read_chat(body, BodyLimits(LIMITS.upload, json=10))


def test_a_large_paper_in_a_chat(serve: Serve) -> None:
    client = serve(ScriptedEngine(WordTokenizer()), Settings(max_upload_mb=0.6, max_json_mb=0.01))

    def chat(size: int, text: str = "x") -> httpx.Response:
        data = base64.b64encode(bytes(size)).decode()
        file = {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{data}"}}
        parts = [{"type": "text", "text": text}, file]
        return ask(client, {"messages": [{"role": "user", "content": parts}]})

    assert code_of(chat(599_999)) == (422, "not_a_pdf")
    assert code_of(chat(600_001)) == (413, "pdf_too_large")
    assert code_of(chat(900_000)) == (413, "request_too_large")
    assert code_of(chat(3, "x" * 10_000)) == (413, "request_too_large")


def test_an_engine_that_answers_no_chats_still_reviews(serve: Serve) -> None:
    client = serve(PlainEngine(WordTokenizer()), Settings())
    paper = {"title": "T", "abstract": "A", "body": "# Method\n\nWe measure."}
    assert client.post("/v1/reviews", json=paper).json()["verdict"]["decision"] == "accept"
    assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["scripted"]
    chat = {"model": "scripted", "messages": [{"role": "user", "content": "Hello"}]}
    answer = client.post("/v1/chat/completions", json=chat)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "chat_not_served")
