from tests.demo import Demo, run_demo


def test_demo_serves_what_it_has_trained_and_a_second_run_does_only_what_is_missing(demo: Demo) -> None:
    assert demo.status == 0, demo.output
    for expected in ("PyTorch fp32", "ONNX fp32", "chosen: ", "start to first answer", "Next:"):
        assert expected in demo.output
    assert "served over HTTP" in demo.output

    again = run_demo(demo.folder)
    assert again.status == 0, again.output
    assert "trained already" in again.output
    assert "published already" in again.output


def test_demo_fails_where_the_served_model_is_not_the_one_that_was_proven(demo: Demo) -> None:
    versions = demo.folder / "store" / "models" / "mnist-cnn" / "versions" / "1"
    for file in versions.glob("*.onnx"):
        original = file.read_bytes()
        try:
            file.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
            assert run_demo(demo.folder).status != 0
        finally:
            file.write_bytes(original)
