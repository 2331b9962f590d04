"""Fetch the libraries that pages hold from npm anew, as src/tilework/report/page/vendor/libraries.toml lists them.

python scripts/fetch_libraries.py           # writes the files whose hashes are those of the table
python scripts/fetch_libraries.py --hashes  # prints the hashes of what npm gives, for a new version in the table
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

VENDOR = Path(__file__).resolve().parent.parent / "src" / "tilework" / "report" / "page" / "vendor"


def members(package: str, version: str, names: list[str]) -> list[bytes]:
    """Files of a package, as `npm pack` gives it."""
    with TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", "--pack-destination", folder, f"{package}@{version}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder)
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            files = [archive.extractfile(f"package/{name}") for name in names]
            return [file.read() for file in files if file]


def main() -> None:
    for name, row in tomllib.loads((VENDOR / "libraries.toml").read_text("utf-8")).items():
        script, licence = members(row["package"], row["version"], [row["file"], row["licence_file"]])
        for target, data, wanted in (
            (f"{name}.min.js", script, row["sha256"]),
            (f"{name}.LICENSE", licence, row["licence_sha256"]),
        ):
            found = sha256(data).hexdigest()
            if "--hashes" in sys.argv[1:]:
                print(f"{found}  {target}")
            elif found != wanted:
                sys.exit(f"{target} must have the hash {wanted}, and npm gives one with {found}; check the table")
            else:
                (VENDOR / target).write_bytes(data)


if __name__ == "__main__":
    main()
