import os
import signal
import threading
import time

import pytest

from job.signals import terminated_as_interrupted


def test_a_process_that_is_told_to_end_is_interrupted_as_by_ctrl_c():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), terminated_as_interrupted():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_second_signal_does_not_disturb_what_cleans_up_after_the_first():
    cleaned = False
    with pytest.raises(KeyboardInterrupt), terminated_as_interrupted():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)
            cleaned = True
    assert cleaned


def test_in_another_thread_nothing_changes():
    said = []

    def work() -> None:
        with terminated_as_interrupted():
            said.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert said == [signal.getsignal(signal.SIGTERM)]
