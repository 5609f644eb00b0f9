"""The tables. A change here needs a migration; a test holds the two against each other."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()

# A row for every machine ever seen. `spec` is what the site file says of it, null for a machine
# nobody named or whose name was taken out again: its state stays, so that putting the name back
# does not install a machine anew.
nodes = Table(
    "nodes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, unique=True),
    Column("spec", JSON(none_as_null=True)),
    Column("state", Text, nullable=False),
    Column("boots", Integer, nullable=False, default=0),
    Column("document_key", Text, nullable=False, default=""),
    Column("report_keys", JSON, nullable=False, default=list),
    Column("facts", JSON, nullable=False, default=dict),
    # The digests of what its starts of the installer may still fetch.
    Column("boot_files", JSON, nullable=False, default=list, server_default=text("'[]'")),
)

macs = Table(
    "macs",
    metadata,
    Column("mac", Text, primary_key=True),
    Column("node", ForeignKey("nodes.id", ondelete="CASCADE"), nullable=False, index=True),
)

# Cards of machines that have been installed, or have failed: the site file alone cannot arm them,
# whatever names they get. A row outlives the card's node.
settled_macs = Table("settled_macs", metadata, Column("mac", Text, primary_key=True))

# Append-only. `once` names what must not be written twice: a report, a packet's transaction.
events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("node", ForeignKey("nodes.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("at", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("once", Text),
    UniqueConstraint("node", "once", name="once_per_node"),
)

images = Table(
    "images",
    metadata,
    Column("name", Text, primary_key=True),
    Column("source", JSON, nullable=False),
    Column("digest", Text, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("files", JSON, nullable=False),
    Column("content", JSON(none_as_null=True)),
    Column("imported", Boolean, nullable=False, server_default=text("0")),
    Column("former", JSON(none_as_null=True)),  # the image that had the name before, as a row
)

profiles = Table(
    "profiles",
    metadata,
    Column("name", Text, primary_key=True),
    Column("spec", JSON, nullable=False),
)

# What the site file says besides: `vendor-recipes` and `registries`; and `server-url`, where
# `serve` was last reachable, for `explain`.
settings = Table(
    "settings",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", JSON, nullable=False),
)

# What this server has leased out as a DHCP server. `hardware` and `client` are hexadecimal; `ends`
# counts seconds since 1970.
leases = Table(
    "leases",
    metadata,
    Column("address", Text, primary_key=True),
    Column("hardware", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("hold", Text, nullable=False),
    Column("ends", BigInteger, nullable=False),
)
