from tasks import invert


def mistakes() -> None:
    invert.delay(number="three")  # another type of argument
    invert.delay(numbr=3)  # an argument that there is not
    result = invert.delay(number=3)
    print(result.get().upper())  # another type of result
