"""Months, units and abbreviations of English, with their words."""

MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
SHORT_MONTHS = {month[:3]: month for month in MONTHS} | {"sept": "september"}

CURRENCIES = {
    "$": ("dollar", "dollars"),
    "€": ("euro", "euros"),
    "£": ("pound", "pounds"),
    "¥": ("yen", "yen"),
    "₩": ("won", "won"),
    "₹": ("rupee", "rupees"),
}
"""Of one, and of several."""

UNITS = {
    "km": ("kilometer", "kilometers"),
    "cm": ("centimeter", "centimeters"),
    "mm": ("millimeter", "millimeters"),
    "kg": ("kilogram", "kilograms"),
    "mg": ("milligram", "milligrams"),
    "ml": ("milliliter", "milliliters"),
    "lb": ("pound", "pounds"),
    "lbs": ("pound", "pounds"),
    "oz": ("ounce", "ounces"),
    "ft": ("foot", "feet"),
    "km/h": ("kilometer per hour", "kilometers per hour"),
    "kph": ("kilometer per hour", "kilometers per hour"),
    "mph": ("mile per hour", "miles per hour"),
    "hr": ("hour", "hours"),
    "hrs": ("hour", "hours"),
    "min": ("minute", "minutes"),
    "mins": ("minute", "minutes"),
    "sec": ("second", "seconds"),
    "secs": ("second", "seconds"),
    "ms": ("millisecond", "milliseconds"),
    "hz": ("hertz", "hertz"),
    "khz": ("kilohertz", "kilohertz"),
    "mhz": ("megahertz", "megahertz"),
    "ghz": ("gigahertz", "gigahertz"),
    "kw": ("kilowatt", "kilowatts"),
    "kwh": ("kilowatt hour", "kilowatt hours"),
    "kb": ("kilobyte", "kilobytes"),
    "mb": ("megabyte", "megabytes"),
    "gb": ("gigabyte", "gigabytes"),
    "tb": ("terabyte", "terabytes"),
    "°": ("degree", "degrees"),
    "°c": ("degree celsius", "degrees celsius"),
    "°f": ("degree fahrenheit", "degrees fahrenheit"),
}
"""Of one, and of several; single letters are left out, which mean several units each."""

TITLES = {
    "mr": "mister",
    "mrs": "missus",
    "prof": "professor",
    "capt": "captain",
    "lt": "lieutenant",
    "sgt": "sergeant",
    "gen": "general",
    "col": "colonel",
    "gov": "governor",
    "sen": "senator",
    "rev": "reverend",
    "mt": "mount",
}
"""Before a name."""

ABBREVIATIONS = {
    "etc": "et cetera",
    "vs": "versus",
    "approx": "approximately",
    "jr": "junior",
    "sr": "senior",
    "ltd": "limited",
    "blvd": "boulevard",
    "ave": "avenue",
    "rd": "road",
    "dept": "department",
}
"""Anywhere, with their dot."""

BEFORE_NUMBERS = {"no": "number", "nos": "numbers", "vol": "volume", "fig": "figure", "p": "page", "ch": "chapter"}
"""With their dot, before digits only."""

SEVERAL_WAYS = ("e.g.", "i.e.", "inc.", "corp.", "co.", "rep.")
"""Said as they are written, or as what they stand for."""

_DETERMINERS = "a an the this that my your his her its our their each every per another"
DETERMINERS = frozenset(_DETERMINERS.split())
"""Before an amount, it is an adjective: `a 5 km run` is no `five kilometers run`."""

_BY_DIGITS = "room flight route highway suite apartment bus gate channel extension area code unit"
BY_DIGITS = frozenset(_BY_DIGITS.split())
"""Before a number of three digits, it may be said digit by digit."""

CALLED = frozenset({112, 311, 404, 411, 911, 999})
"""Numbers that are said digit by digit."""
