"""Statements that Postgres parses and plans once for each connection, for the paths where planning would cost more than the work.

psycopg2 sends every statement as text, so the server plans it anew each time. SQL's own PREPARE and EXECUTE
(https://www.postgresql.org/docs/current/sql-prepare.html) need nothing of the driver. The server's settings for such connections
should keep plans on the indexes (`enable_seqscan=off`): a plan made while a table was empty must serve when it is large.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, CursorResult
from sqlalchemy.exc import DBAPIError

from labelmesh_chassis.errors import Aborted
from labelmesh_chassis.tracing import STATEMENT_TEXT

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_PARAMETER = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")
_INFO = "labelmesh_prepared"
# The plan's result changed with the tables; the statement is not there, e.g. after DISCARD ALL by a pooler.
_STALE = {"0A000", "26000"}


class PreparedStatement:
    """A statement with parameters written `:name`, each of a Postgres type given by name.

    Values go as psycopg2 renders them: a dict must be wrapped in psycopg2.extras.Json. Names of parameters that the text does not use
    may be among the values; a missing one is a KeyError.
    """

    def __init__(self, sql: str, types: Mapping[str, str]) -> None:
        self.sql = sql
        self._names = tuple(dict.fromkeys(_PARAMETER.findall(sql)))
        missing = [name for name in self._names if name not in types]
        if missing:
            raise ValueError(f"the types of {', '.join(missing)} are not given")
        if "%" in sql:
            raise ValueError("a percent sign would be taken for the driver's")
        numbered = _PARAMETER.sub(lambda found: f"${self._names.index(found[1]) + 1}", sql)
        declared = ", ".join(types[name] for name in self._names)
        self._name = "labelmesh_" + hashlib.sha256(f"{declared} {numbered}".encode()).hexdigest()[:24]
        self._prepare = f"PREPARE {self._name}{f' ({declared})' if declared else ''} AS {numbered}"
        # The name says nothing to those who read traces.
        self._options = {STATEMENT_TEXT: sql}
        placeholders = ", ".join(["%s"] * len(self._names))
        self._execute = f"EXECUTE {self._name}{f' ({placeholders})' if placeholders else ''}"

    def run(self, session: Session | Connection, values: Mapping[str, object]) -> CursorResult[Any]:
        """Executes it in the session's or connection's transaction; prepares it first where this connection has not seen it.

        Aborted when a migration changed what it returns: the connection is given up, and the transaction works when it is run again.
        """
        connection = session if isinstance(session, Connection) else session.connection()
        prepared: set[str] = connection.info.setdefault(_INFO, set())
        if self._name not in prepared:
            connection.exec_driver_sql(self._prepare)
            prepared.add(self._name)
        try:
            given = tuple([values[name] for name in self._names])
            return connection.exec_driver_sql(self._execute, given, execution_options=self._options)
        except DBAPIError as failure:
            if getattr(failure.orig, "pgcode", None) in _STALE:
                connection.invalidate(failure)
                raise Aborted("CONCURRENT_CHANGE", "the tables were changed meanwhile; try again", retry_after=0.05) from failure
            raise
