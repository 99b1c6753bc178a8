"""Platforms that images are built for, and what each is called by Debian, Rust, GNU and Python. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.errors import PipelineError

#: That of the machine that builds; images of the others are made without running a program of theirs.
NATIVE = "linux/amd64"
#: Debian 13 has glibc 2.41; the oldest that wheels of these platforms are made for is 2.17 (PEP 600).
_GLIBC = range(41, 16, -1)


@dataclass(frozen=True, slots=True)
class Platform:
    """A platform as OCI writes it (image-spec v1.1, image-index.md), with the words of others for it.

    ``debian`` is the architecture, ``gnu`` the triplet of compilers, ``rust`` the target of rustc, ``machine`` what Python
    and wheels call the processor (PEP 508), ``elf`` the pair of class (bits) and e_machine that its programs have.
    """

    os: str
    architecture: str
    variant: str
    debian: str
    gnu: str
    rust: str
    machine: str
    elf: tuple[int, int]

    def __str__(self) -> str:
        return "/".join(word for word in (self.os, self.architecture, self.variant) if word)

    @property
    def slug(self) -> str:
        """A name for files: ``arm-v7``."""
        return "-".join(word for word in (self.architecture, self.variant) if word)

    @property
    def native(self) -> bool:
        return str(self) == NATIVE

    @property
    def oci(self) -> dict[str, str]:
        """The ``platform`` of a descriptor."""
        named = {"os": self.os, "architecture": self.architecture, "variant": self.variant}
        return {key: value for key, value in named.items() if value}

    @property
    def wheels(self) -> tuple[str, ...]:
        """The platform tags of wheels that run here, the best first; none for the machine's own, which pip knows."""
        return () if self.native else tuple(f"manylinux_2_{minor}_{self.machine}" for minor in _GLIBC)

    @property
    def markers(self) -> dict[str, str]:
        """What environment markers of requirements say here (PEP 508), where it is not the same everywhere on Linux."""
        return {
            "platform_machine": self.machine,
            "sys_platform": "linux",
            "platform_system": "Linux",
            "os_name": "posix",
        }


_ALL = (
    Platform("linux", "amd64", "", "amd64", "x86_64-linux-gnu", "x86_64-unknown-linux-gnu", "x86_64", (64, 62)),
    Platform("linux", "arm64", "", "arm64", "aarch64-linux-gnu", "aarch64-unknown-linux-gnu", "aarch64", (64, 183)),
    Platform("linux", "arm", "v7", "armhf", "arm-linux-gnueabihf", "armv7-unknown-linux-gnueabihf", "armv7l", (32, 40)),
)
PLATFORMS = {str(each): each for each in _ALL}


def parse(text: str) -> tuple[Platform, ...]:
    """The platforms of a list by comma, each once; ``all`` is every one.

    Raises:
        PipelineError: one is not known, or there is none.
    """
    words = list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if words == ["all"]:
        return _ALL
    known = ", ".join(PLATFORMS)
    for word in words:
        if word not in PLATFORMS:
            raise PipelineError(f"unknown platform {word!r}; known are: {known}, or all")
    if not words:
        raise PipelineError(f"no platform given; known are: {known}")
    return tuple(PLATFORMS[word] for word in words)
