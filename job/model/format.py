"""PLACEHOLDER."""

import hashlib
import json

FORMAT_VERSION = 1


def assemble(files, description):
    listed = {p: {"bytes": len(d), "sha256": hashlib.sha256(d).hexdigest()} for p, d in sorted(files.items())}
    content = {"format_version": FORMAT_VERSION, "program": "fruits", **description, "files": listed}
    return {**files, "model.json": (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()}
