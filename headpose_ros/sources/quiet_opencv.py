"""OpenCV without its own messages: the caller reports failures."""

from __future__ import annotations

import cv2


class QuietOpenCv:
    """Silences OpenCV's log inside a `with` block."""

    def __enter__(self) -> None:
        self._level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

    def __exit__(self, *_: object) -> None:
        cv2.utils.logging.setLogLevel(self._level)
