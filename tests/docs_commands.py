"""What the documentation says to type works: its shell commands run, its workspace fragments are understood.

A fenced `sh` block runs as it stands, on a server on which the story has been played; only the address is another. A block after
`<!-- not run: REASON -->` is left out. A `yaml` block is a fragment of a workspace file, or a rule per line.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

from jumelle_server import BINARY, ROOT, TOKEN, Server, wait_until
from story import EXAMPLE, SECRET, Inbox, play

GUIDE = ROOT / "docs" / "guide"
# Its fragments are mapping files, which tests of the `collect` crate read.
MAPPING_PAGES = {"import.md"}
BLOCK = re.compile(r"(?P<before>[^\n]*)\n+```(?P<language>sh|yaml)\n(?P<code>.*?)```", re.DOTALL)
COMMAND_S_MAX = 120


def blocks(language):
    """(page, code) of each block that is run."""
    for page in [ROOT / "README.md", *sorted(GUIDE.rglob("*.md"))]:
        for block in BLOCK.finditer(page.read_text()):
            if block["language"] == language and "<!-- not run:" not in block["before"]:
                yield page.name, block["code"]


def as_workspace(code):
    """A fragment completed to a workspace file: what it does not define itself comes from the example."""
    if code.startswith("{"):
        # Several rules may stand on one line, three spaces apart; a comment may follow.
        rules = [rule for line in code.splitlines() for rule in re.split(r" {3,}", line) if rule.startswith("{")]
        code = "segments:\n" + "".join(f"  example_{n}: {{rule: {rule}}}\n" for n, rule in enumerate(rules))
    sections = re.split(r"(?m)^(?=[a-z]+:)", (EXAMPLE / "workspace.yaml").read_text())
    own = set(re.findall(r"(?m)^([a-z]+):", code))
    needed = {"workspace", "identifiers", "purposes", "traits"} - own
    return "".join(section for section in sections if section.split(":")[0] in needed) + code


class Commands(unittest.TestCase):
    def test_shell_blocks_run(self):
        with Inbox() as inbox, tempfile.TemporaryDirectory(prefix="jumelle-docs-") as folder:
            workspace = pathlib.Path(folder) / "workspace.yaml"
            workspace.write_text((EXAMPLE / "workspace.yaml").read_text().replace("http://127.0.0.1:9000/hook", inbox.url))
            # `curl` must fail where the server refuses.
            (pathlib.Path(folder) / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
            with Server(workspace, environment={"HOOK_SECRET": SECRET}) as server:
                for message_id in play(server):
                    # Withdrawn before it left, it would rightly never leave.
                    if message_id == "story-consent":
                        wait_until(lambda: inbox.received, "the tool received her")
                wait_until(lambda: len(inbox.received) >= 2, "the story is over")
                environment = {
                    **server.client_environment(),
                    # Python and Node find the SDKs that the tests installed.
                    "PATH": f"{BINARY.parent}:{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
                    "NODE_PATH": str(ROOT / "tests" / "sdk" / "node_modules"),
                    "CURL_HOME": folder,
                    "JUMELLE_SERVER": server.url,
                    "JUMELLE_ADMIN_TOKEN": TOKEN,
                }
                for page, code in blocks("sh"):
                    with self.subTest(page, code=code):
                        script = code.replace("target/debug/jumelle", "jumelle").replace("http://127.0.0.1:8080", server.url)
                        script = script.replace("examples/sneakers/workspace.yaml", str(workspace))
                        script = re.sub(r"(?m)^export JUMELLE_ADMIN_TOKEN=.*$", "", script)
                        done = subprocess.run(
                            ["bash", "-euo", "pipefail", "-c", script],
                            cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, timeout=COMMAND_S_MAX, check=False,
                        )  # fmt: skip
                        self.assertEqual(0, done.returncode, done.stdout)

    def test_workspace_fragments_are_understood(self):
        with Server(EXAMPLE / "workspace.yaml", environment={"HOOK_SECRET": SECRET}) as server:
            for page, code in blocks("yaml"):
                if page in MAPPING_PAGES:
                    continue
                with self.subTest(page, code=code), tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                    file.write(as_workspace(code))
                    file.flush()
                    server.command("apply", file.name, "--dry-run")


if __name__ == "__main__":
    unittest.main()
