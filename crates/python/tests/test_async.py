import asyncio

import connote
import numpy as np
import pyarrow as pa
import pytest


async def test_the_same_vectors(minilm):
    texts = ["a cat", "a dog"]
    assert np.array_equal(await minilm.aembed(texts), minilm.embed(texts))
    assert np.array_equal(await minilm.aencode("a cat"), minilm.encode("a cat"))
    assert (await minilm.aembed_arrow(pa.array(texts))).equals(minilm.embed_arrow(texts))
    assert (await minilm.aembed_vectors(texts)).tokens == [4, 4]


async def test_many_at_once(minilm):
    texts = [f"text {number}" for number in range(100)]
    found = await asyncio.gather(*(minilm.aembed(text) for text in texts))
    assert np.array_equal(np.stack(found), minilm.embed(texts))


async def test_the_loop_goes_on(gemma):
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.005)

    ticking = asyncio.create_task(tick())
    await gemma.aembed([f"text number {number} of some words" for number in range(24)])
    ticking.cancel()
    assert ticks >= 3


async def test_cancelling_a_task_ends_its_work(gemma):
    done = []
    texts = [f"text {number} " * 40 for number in range(2000)]
    work = asyncio.create_task(gemma.aembed(texts, progress=lambda now, total: done.append(now)))
    await asyncio.sleep(0.5)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    # Where the work went on, this text would share the CPUs with it; and more windows would be done.
    await gemma.aembed("after")
    seen = len(done)
    await asyncio.sleep(1)
    assert len(done) == seen


async def test_cancelling_a_task_ends_its_work_with_a_cancellation_of_ones_own_and_no_other(gemma):
    texts = [f"text {number} " * 40 for number in range(2000)]
    for cancel in (None, connote.Cancellation()):
        done = []
        work = asyncio.create_task(gemma.aembed(texts, cancel=cancel, progress=lambda now, total: done.append(now)))
        await asyncio.sleep(0.5)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        await gemma.aembed("after", cancel=cancel)  # the same cancellation: other calls go on
        seen = len(done)
        await asyncio.sleep(0.7)
        assert len(done) == seen


async def test_a_cancellation_of_ones_own_ends_the_call(gemma):
    cancel = connote.Cancellation()
    work = asyncio.create_task(gemma.aembed([f"text {number} " * 40 for number in range(2000)], cancel=cancel))
    await asyncio.sleep(0.5)
    cancel.cancel()
    with pytest.raises(connote.CancelledError):
        await work


def test_a_cancellation_of_ones_own(minilm):
    cancel = connote.Cancellation()
    cancel.cancel()
    with pytest.raises(connote.CancelledError):
        minilm.embed(["a"] * 100, cancel=cancel)


async def test_a_cancellation_from_before_ends_a_call_that_begins(minilm):
    cancel = connote.Cancellation()
    cancel.cancel()
    for call in (minilm.aembed(["a"], cancel=cancel), minilm.aencode(["a"], cancel=cancel)):
        with pytest.raises(connote.CancelledError):
            await call


def test_every_generation_hears_its_ancestors_and_no_other(minilm):
    first = connote.Cancellation()
    last = connote.Cancellation(connote.Cancellation(connote.Cancellation(first)))
    beside = connote.Cancellation()
    middle = connote.Cancellation(beside)
    connote.Cancellation(middle).cancel()
    minilm.embed(["a"], cancel=last)
    minilm.embed(["a"], cancel=middle)
    first.cancel()
    for cancel in (last, connote.Cancellation(last)):
        with pytest.raises(connote.CancelledError):
            minilm.embed(["a"], cancel=cancel)
    minilm.embed(["a"], cancel=beside)


def test_what_is_no_cancellation_is_refused(minilm):
    with pytest.raises(TypeError, match=r"connote\.Cancellation, not str"):
        minilm.embed(["a"], cancel="now")
