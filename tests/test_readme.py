"""The README does what it says: its code runs, its commands are the ones that CI runs."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


@pytest.mark.relaxed  # flax's batch norm promotes
def test_the_code_runs(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    namespace: dict = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), namespace)
    printed = capsys.readouterr().out.splitlines()
    assert printed[:5] == [
        "(1, 300, 300, 16) (1, 300, 300, 16) (3, 3, 16, 32)",
        "(1, 150, 150, 32)",
        "(4, 300, 300, 32)",
        "(3,)",
        "(1, 150, 150, 8) (1, 150, 150, 8)",
    ]
    assert printed[5].startswith("moments (adjoint) against 512 draws")


def test_there_are_two_commands_and_ci_runs_the_second():
    install_and_train, install_and_test = re.findall(
        r"```bash\n(.*?)\n```", README, flags=re.DOTALL
    )
    assert install_and_train.endswith("stochastic-net train")
    assert install_and_test in (ROOT / ".ci" / "run").read_text()


def test_what_it_links_to_is_there():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    assert all((ROOT / link).exists() for link in links if not link.startswith("http"))
