"""An OpenAI-compatible completions server on loopback: it answers from a table and keeps requests."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ANSWER_STARTS = "[/INST]"
"""What stands before an answer in the template of these tests."""
ELSEWHERE = -50.0
"""Log-probability of a token outside the answers: counting one would show."""


def byte_of() -> dict[str, int]:
    """Return what each character of a byte-level vocabulary stands for."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + at): byte for at, byte in enumerate(others)}


def load_vocabulary(model: Path) -> dict[int, bytes]:
    """Token id -> bytes, from a byte-level tokenizer.json."""
    values = json.loads((model / "tokenizer.json").read_text())
    table = byte_of()
    found = {
        number: bytes(table[char] for char in token) for token, number in values["model"]["vocab"].items()
        if all(char in table for char in token)
    }  # fmt: skip
    return found | {token["id"]: token["content"].encode() for token in values["added_tokens"]}


@dataclass
class Served:
    """What the server answers, and what it was asked."""

    vocabulary: dict[int, bytes]
    logprobs: Mapping[str, float]
    """Model -> log-probability of each token of an answer."""
    answers: Mapping[str, Mapping[str, str]]
    """Model -> part of the prompt -> answer."""
    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)

    def text(self, tokens: list[int]) -> str:
        return b"".join(self.vocabulary[token] for token in tokens).decode()

    def scored(self, model: str, tokens: list[int]) -> dict[str, Any]:
        """Log-probabilities of a prompt: `logprobs` after the last mark, `ELSEWHERE` before and on it."""
        start = max(
            (at for at in range(len(tokens)) if self.text(tokens[:at]).endswith(ANSWER_STARTS)), default=0
        )
        values = [self.logprobs[model] if at >= start else ELSEWHERE for at in range(len(tokens))] + [-1.0]
        return {"token_logprobs": values, "top_logprobs": [{"x": value} for value in values]}

    def said(self, model: str, asked: str) -> str:
        return next(answer for part, answer in self.answers[model].items() if part in asked)

    def chat(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return a chat endpoint's reply: it takes messages and gives no likelihoods."""
        text = self.said(body["model"], body["messages"][-1]["content"])
        return {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]}

    def reply(self, body: dict[str, Any]) -> dict[str, Any]:
        model = body["model"]
        choices: list[dict[str, Any]] = []
        for index, prompt in enumerate(body["prompt"]):
            if body.get("echo"):
                choices.append({"index": index, "text": "", "logprobs": self.scored(model, prompt)})
                continue
            choices.append({"index": index, "text": self.said(model, self.text(prompt))})
        return {"choices": choices}


@contextmanager
def completions(
    model: Path, logprobs: Mapping[str, float], answers: Mapping[str, Mapping[str, str]]
) -> Iterator[Served]:
    """Serve for the time of the block, with the vocabulary of a model folder."""
    served = Served(load_vocabulary(model), logprobs, answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            served.bodies.append({"path": self.path, **body})
            replies = {"/v1/completions": served.reply, "/v1/chat/completions": served.chat}
            known = body["model"] in served.logprobs and self.path in replies
            data = json.dumps(replies[self.path](body) if known else {"error": "no such model"}).encode()
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the bodies are kept."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
