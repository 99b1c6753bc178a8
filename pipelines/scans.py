"""The scans of a build: where the database comes from, and what is scanned with it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagger
from dagger import dag

from pipelines import outputs
from pipelines.config import Project, Variant
from pipelines.network import Network
from pipelines.stages import scan
from pipelines.stages.dependencies import ARCHIVES
from pipelines.verdict import SOURCE
from scanning import unreached
from scanning.gate import Database

#: Trivy's own database is made anew every six hours.
_WINDOW_SECONDS = 6 * 3600
NONE = "none"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the vulnerability database is to come from: a ``folder``, else a ``repository`` of a registry, else Trivy's own."""

    folder: str = ""
    repository: str = ""

    @property
    def name(self) -> str:
        """As a verdict tells of it, which is published: where this machine keeps its files is nobody's business."""
        return "a folder" if self.folder else self.repository or "Trivy's own source"


def origin(folder: str | None, environ: Mapping[str, str] = os.environ) -> Origin:
    """What an option, or else the environment, says."""
    return Origin(folder or environ.get("PIPELINES_SCAN_DATABASE", ""), environ.get("TRIVY_DB_REPOSITORY", ""))


@dataclass
class Scans:
    """What a build has scanned: reports by target, and the facts of the database.

    ``tell`` shows on this machine what a verdict does not hold: folders, addresses, a program's own words.
    """

    origin: Origin
    network: Network
    tell: Callable[[str], None]
    reports: dict[str, dagger.Directory] = field(default_factory=dict)
    database: Database = field(default_factory=lambda: Database(problem="the scan was left out"))
    scanner: scan.Scanner | None = None
    program: dict[str, str] = field(default_factory=dict)

    async def prepare(self, base: dagger.Directory, requirements: dagger.File) -> None:
        """Trivy and its database; what is wrong with the database is kept for the verdict.

        Raises:
            dagger.ExecError: Trivy cannot be had.
        """
        self.scanner = await scan.scanner(base, requirements, self.network)
        (archive,) = json.loads(await self.scanner.trivy.file(ARCHIVES).contents())[:1]
        self.program = {
            "uri": f"pkg:pypi/{archive['name']}@{archive['version']}?file_name={archive['file']}",
            "digest": f"sha256:{archive['sha256']}",
        }
        try:
            tree = await self._tree(self.scanner)
            self.scanner = replace(self.scanner, database=tree)
            metadata = json.loads(await tree.file(scan.METADATA).contents())
            made, version = str(metadata["UpdatedAt"]), int(metadata["Version"])
            self.database = Database(await scan.digest(self.scanner), made, self.origin.name, version)
        except _Absent as error:
            self._without(str(error), error.detail)
        except dagger.ExecError as error:
            cause = unreached.cause(f"{error.stdout}\n{error.stderr}")
            self._without(f"{self.origin.name}: {cause}", _last_words(error))
        except (dagger.QueryError, ValueError, KeyError, TypeError) as error:
            self._without(f"{self.origin.name}: it cannot be read", str(error))

    def _without(self, problem: str, detail: str = "") -> None:
        assert self.scanner is not None
        if detail:
            self.tell(f"vulnerability database: {detail}")
        self.scanner = replace(self.scanner, database=None)
        self.database = Database(source=self.origin.name, problem=problem)

    async def _tree(self, given: scan.Scanner) -> dagger.Directory:
        if self.origin.folder == NONE:
            raise _Absent("it was left out (none)")
        if self.origin.folder:
            folder = Path(self.origin.folder).absolute()
            found = next((f for f in (folder, folder / "db") if (f / scan.DATABASE).is_file()), None)
            if found is None or not (found / scan.METADATA).is_file():
                lacks = f"holds no {scan.DATABASE} and {scan.METADATA}"
                raise _Absent(f"{self.origin.name} {lacks}", f"{folder} {lacks}")
            return await dag.host().directory(str(found), include=[scan.DATABASE, scan.METADATA]).sync()
        window = str(int(datetime.now(UTC).timestamp()) // _WINDOW_SECONDS)
        return await scan.downloaded(given, self.network, self.origin.repository, window)

    async def source(self, tree: dagger.Directory, project: Project, variant: Variant | None = None) -> None:
        """Scan the source; of the variants' requirements, those of the one that is built.

        Raises:
            dagger.ExecError: Trivy could not do its work, even without the database.
        """
        names = [project.requirements, project.build_requirements, project.scan_requirements]
        names += [variant.requirements] if variant else []
        await self._scan(SOURCE, lambda given: scan.source(given, tree, tuple(n for n in names if n)))

    async def image(self, target: str, layout: dagger.Directory) -> None:
        """Scan a finished image; errors as :meth:`source`."""
        await self._scan(target, lambda given: scan.image(given, layout))

    async def _scan(self, target: str, work: Any) -> None:
        given = self.scanner
        if given is None:
            return
        try:
            self.reports[target] = await work(given)
        except dagger.ExecError as error:
            if given.database is None:
                raise
            # The rest is looked at all the same; only if that fails too, it was not for the database.
            self.reports[target] = await work(replace(given, database=None))
            self._without(f"Trivy cannot use the one of {self.origin.name}", _last_words(error))

    async def export(self, out: Path) -> None:
        for target, found in sorted(self.reports.items()):
            for inner, name in (("report.json", outputs.REPORT), ("report.sarif", outputs.SARIF)):
                await found.file(inner).export(str(outputs.path(out, name, target)))


class _Absent(Exception):
    def __init__(self, problem: str, detail: str = "") -> None:
        super().__init__(problem)
        self.detail = detail


def _last_words(error: dagger.ExecError) -> str:
    lines = (error.stdout + "\n" + error.stderr).strip().splitlines()
    return lines[-1].strip()[-400:] if lines else f"exit code {error.exit_code}"
