"""A real S3 server (versitygw) on loopback over a folder: every sub-folder is a bucket."""

import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVER = ROOT / ".cache" / "bin" / "versitygw"
KEYS = {"AWS_ACCESS_KEY_ID": "canary-access", "AWS_SECRET_ACCESS_KEY": "canary-secret-0123456789"}
REGION = "eu-test-1"


class S3:
    """Serves the buckets below `root` until `close`."""

    def __init__(self, root: Path, scratch: Path) -> None:
        self.root = root
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        (scratch / "meta").mkdir()
        self.log = (scratch / "versitygw.log").open("wb")
        command = [str(SERVER), "--port", f"127.0.0.1:{port}", "--region", REGION]
        command += ["--access", KEYS["AWS_ACCESS_KEY_ID"], "--secret", KEYS["AWS_SECRET_ACCESS_KEY"]]
        command += ["posix", "--sidecar", str(scratch / "meta"), str(root)]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        self.close()
        raise AssertionError(f"versitygw did not start: {Path(self.log.name).read_text()}")

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)
        self.log.close()
