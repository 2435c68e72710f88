"""Thirty texts of 1 to 600 tokens for each vocabulary."""

SHORT = [
    "", "a", " ", "\n\t\n", "?", "7", "é", "\U0001f642", "Hello, world!", "the  cat   sat", "don't stop — it's 2026",
    "café naïve Ångström", "Привет, как дела?", "日本語のテキスト", "हिन्दी में पाठ", "مرحبا بالعالم", "\U0001f469\u200d\U0001f469\u200d\U0001f467 family \U0001f1e9\U0001f1ea",
    "def f(x):\n    return x ** 2 + 1  # square", "SELECT name FROM people WHERE age >= 30;", "한국어 문장입니다.",
]
LONG = (
    "The lighthouse keeper wrote down the weather every evening, and in winter twice. Wind from the north-west, 12 m/s; waves of three metres. "
    "On some days nothing was to be said but that the sea was there. Später kam ein Schiff aus Hamburg mit Kohle, Brot und Briefen. "
    "Le capitaine disait toujours la même chose : « il fera beau demain ». Nobody believed him, and he was right two times in five. "
    "def wind(speed, angle): return (speed * cos(angle), speed * sin(angle)) — so the engineer had it in his notes, next to a list of spare parts: "
    "3 valves, 40 bolts (M8), 1 lamp 230 V. Вечером включали радио и слушали музыку. 夜になると灯台の光が海を照らした。 "
    "A question that no one asked: how far can a light be seen from a tower of 41.5 metres? Some twenty-three kilometres, if the air is clear. \U0001f30a\U0001f526 "
)
LENGTHS = [24, 33, 50, 64, 65, 100, 130, 200, 257, 600]


def texts(vocabulary):
    """The short ones, and parts of the long one with just so many tokens (or one or two fewer) by this vocabulary."""
    found = list(SHORT)
    story = LONG * 6
    for number, length in enumerate(LENGTHS):
        start = 37 * number
        low, high = start, len(story)
        while low < high:
            middle = (low + high + 1) // 2
            if len(vocabulary.encode(story[start:middle])) <= length:
                low = middle
            else:
                high = middle - 1
        found.append(story[start:low])
    return found


def rows(number, count):
    """The places of a text's tokens whose rows are kept: all of five texts, and of the longest one in 29."""
    if number in (8, 12, 17, len(SHORT)):
        return list(range(count))
    if number == len(SHORT) + len(LENGTHS) - 1:
        return list(range(0, count, 29))
    return []
