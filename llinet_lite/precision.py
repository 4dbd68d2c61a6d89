"""TEMPORARY: wave B removes this."""

from llinet_lite.training import float32_arithmetic as float32_arithmetic
