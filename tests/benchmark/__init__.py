"""What a request costs, beside bare Flask and beside other sessions.

``python -m tests.benchmark`` measures, and writes docs/explanation/performance.md and
its chart. It needs the extras ``dev`` and ``benchmark``, ``redis-server`` and
``memcached``.
"""
