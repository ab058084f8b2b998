"""Who is whom, by the rules of docs/guide/identity.md, written from that page: a union-find with limits.

It shares no code with Jumelle. Evidence is taken in the order in which it is given.
"""

TRUST = ["user_id", "loyalty_card", "email", "phone", "anonymous_id"]
LIMITS = {"user_id": 1, "loyalty_card": 3, "email": 5, "phone": 5, "anonymous_id": 500}


def normal(namespace, value):
    """The written form of an identifier; the simulated shop writes French telephone numbers in three ways."""
    value = value.strip()
    if namespace == "email":
        return value.lower()
    if namespace == "phone":
        digits = value.replace(" ", "")
        return "+33" + digits[1:] if digits.startswith("0") else digits
    return value


def evidence(event):
    """The identifiers of an event, the most trusted first."""
    found = set()
    context = event.get("context") or {}
    if event.get("userId"):
        found.add(("user_id", event["userId"]))
    if event.get("anonymousId"):
        found.add(("anonymous_id", event["anonymousId"]))
    for traits in (event.get("traits") or {}, context.get("traits") or {}):
        for namespace in ("email", "phone"):
            if traits.get(namespace):
                found.add((namespace, normal(namespace, traits[namespace])))
    for external in context.get("externalIds", []):
        found.add((external["type"], external["id"]))
    return sorted(found, key=lambda identifier: (TRUST.index(identifier[0]), identifier[1]))


class Identity:
    """The people so far."""

    def __init__(self):
        self.parent = {}
        self.counts = {}
        self.refused = 0

    def find(self, identifier):
        """The component of an identifier, named by one of its identifiers; `None` if it was never seen."""
        if identifier not in self.parent:
            return None
        root = identifier
        while self.parent[root] != root:
            root = self.parent[root]
        while self.parent[identifier] != root:
            self.parent[identifier], identifier = root, self.parent[identifier]
        return root

    def see(self, identifiers):
        """Takes the evidence of one event: the first identifier decides, each next one joins unless a limit would be broken."""
        person, counts = None, {}
        for identifier in identifiers:
            root = self.find(identifier)
            if root is None:
                root, more = identifier, {identifier[0]: 1}
            elif root == person:
                continue
            else:
                more = self.counts[root]
            together = {namespace: counts.get(namespace, 0) + number for namespace, number in more.items()}
            if person is not None and any(number > LIMITS[namespace] for namespace, number in together.items()):
                self.refused += 1
                continue
            self.parent.setdefault(identifier, root)
            counts = {**counts, **together}
            if person is not None:
                self.parent[root] = person
                self.counts.pop(root, None)
            else:
                person = root
            self.counts[person] = counts


def pairwise(clusters_and_people):
    """(precision, recall) over all pairs of events: of those put together, how many belong together, and the reverse."""
    cells, clusters, people = {}, {}, {}
    for cluster, person in clusters_and_people:
        cells[cluster, person] = cells.get((cluster, person), 0) + 1
        clusters[cluster] = clusters.get(cluster, 0) + 1
        people[person] = people.get(person, 0) + 1

    def pairs(counts):
        return sum(n * (n - 1) // 2 for n in counts.values())

    right = pairs(cells)
    return right / pairs(clusters), right / pairs(people)
