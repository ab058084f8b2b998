"""Power cuts under load: what was not synced is lost, torn or out of order, and nothing that was acknowledged is."""

import concurrent.futures
import random
import time
import unittest

import disk
from oracle import ACTIVATED, Load, check_directory, check_messages
from shop import Inbox, Shop, workspace

CUTS = 36
DIRECTORIES = 2
SEED = random.SystemRandom().randrange(1 << 32)


class PoweredShop(Shop):
    """A shop on a disk that can lose power, from the first byte of its directory on."""

    def __init__(self, text):
        super().__init__(text)
        self.data.mkdir()
        self.disk = disk.Disk(self.data)
        self.environment.update(self.disk.environment())
        self.model = disk.Model(self.data)

    def __exit__(self, *arguments):
        super().__exit__(*arguments)
        self.disk.close()

    def cut(self, seed):
        self.kill()
        disk.cut(self.disk, self.model, seed)
        self.model = disk.Model(self.data)


def run(test, cuts, seed):
    """One directory through many power cuts; gives how many events were acknowledged and how often a tail was cut off."""
    chance = random.Random(seed)
    with Inbox() as inbox, PoweredShop(workspace(ACTIVATED.replace("URL", inbox.url))) as shop:
        with Load(shop, seed, senders=2, events_of_a_batch=10) as load:
            for number in range(cuts):
                told = f"seed {seed}, cut {number}"
                time.sleep(chance.uniform(0.02, 0.4))
                acknowledged = load.acknowledged()
                shop.cut(seed + number)
                try:
                    shop.start()
                except AssertionError as error:
                    raise AssertionError(f"{told}: {error}") from None
                stored = {event["messageId"] for event in shop.exported_events()}
                test.assertEqual(set(), acknowledged - stored, f"acknowledged and lost: {told}")
        told = f"seed {seed}, {cuts} cuts"
        load.check(test, told)
        check_messages(test, shop, inbox, told)
        torn = shop.log.read_text(errors="replace").count("cut off")
        check_directory(test, shop, told)
        return len(load.acknowledged()), torn


def run_all(test, cuts, directories, seed):
    with concurrent.futures.ThreadPoolExecutor(directories) as pool:
        runs = [pool.submit(run, test, cuts // directories, seed + 1_000_000 * n) for n in range(directories)]
        done = [future.result() for future in runs]
    return sum(acknowledged for acknowledged, _ in done), sum(torn for _, torn in done)


class PowerCut(unittest.TestCase):
    def test_nothing_acknowledged_is_lost(self):
        acknowledged, torn = run_all(self, CUTS, DIRECTORIES, SEED)
        print(f" {CUTS} power cuts, {acknowledged} acknowledged, {torn} torn tails cut off, seed {SEED} … ", end="", flush=True)
        self.assertGreater(acknowledged, 200, "there was load")
        self.assertGreater(torn, 0, "some tails were torn, and the log says so")


if __name__ == "__main__":
    unittest.main()
