"""Fixtures of all tests; problems to test with are in problems.py."""

import pytest
from problems import SIZES


@pytest.fixture(params=SIZES, ids=lambda s: "n{}-p{}-q{}-m{}".format(*s))
def size(request):
    return request.param
