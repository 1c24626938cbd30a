"""The dashboards, a module each."""

from __future__ import annotations

from monitoring.boards import augment, data, edge, inference, labeling, overview
from monitoring.panels import Board

ALL: tuple[Board, ...] = (overview.BOARD, labeling.BOARD, inference.BOARD, augment.BOARD, edge.BOARD, data.BOARD)
