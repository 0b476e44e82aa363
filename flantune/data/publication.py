"""`Publication`: where a dataset is published, and how its files come below the data directory. `flantune data` prints it."""

import dataclasses

DATA = "DATA"  # stands for the data directory in `Publication.get`


@dataclasses.dataclass(frozen=True, kw_only=True)
class Publication:
    """Where a dataset is published.

    Attributes:
        url: of the publisher's page or of the paper; "" where there is none, as for files of your own.
        get: how its files come below the data directory, as a command or a sentence in which DATA stands for that directory;
            "" where the source itself says it, as `Tfds` does.
        download_bytes: of what is downloaded, as published; None: not stated.
    """

    url: str
    get: str = ""
    download_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.url and not self.url.startswith(("https://", "http://")):
            raise ValueError(
                f"Publication.url must begin with https:// or http://, not be {self.url!r}."
            )
        if not self.url and not self.get:
            raise ValueError(
                "A Publication without a url must say in `get` where the rows come from."
            )
