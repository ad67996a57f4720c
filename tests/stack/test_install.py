from stack.install import Progress


def test_the_installation_says_how_far_it_is() -> None:
    progress = Progress(packages=3)
    assert progress.sentence(5) == "  5 s: 0 of about 3 packages downloaded …"
    progress.read(["Collecting a==1 (from -r x)\n", "  Downloading a\n", "Requirement already satisfied: b\n"])
    assert progress.sentence(10) == "  10 s: 2 of about 3 packages downloaded …"
    progress.read(["Installing collected packages: a\n"])
    assert progress.sentence(15.2) == "  15 s: the packages are downloaded, and are being installed …"
    assert len(progress.output) == 4
