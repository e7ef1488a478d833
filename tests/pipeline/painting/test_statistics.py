import pytest
import torch
from torch import nn

from pipeline.painting.statistics import Steered, measure, norms, table_length, with_statistics
from tests.pipeline.painting.networks import generator


@pytest.mark.parametrize("norm", ["channel", "instance"])
def test_a_pictures_own_statistics_give_what_the_network_gives(norm: str) -> None:
    network, photo = generator(norm), torch.rand(1, 3, 48, 64) * 2 - 1
    table = measure(network, photo)
    assert table.shape == (1, table_length(network), 2)
    torch.testing.assert_close(with_statistics(network, table)(photo), network(photo), atol=2e-5, rtol=1e-4)


def test_statistics_are_mean_and_deviation_of_what_goes_into_each_norm() -> None:
    network, photo = generator("instance"), torch.rand(1, 3, 32, 40) * 2 - 1
    seen: list[torch.Tensor] = []
    for norm in norms(network):
        norm.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    network(photo)
    means = torch.cat([x.mean((0, 2, 3)) for x in seen])
    deviations = torch.cat([(x.var((0, 2, 3), correction=0) + 1e-5).sqrt() for x in seen])
    torch.testing.assert_close(measure(network, photo)[0], torch.stack([means, deviations], -1), atol=1e-4, rtol=1e-4)


def test_a_batch_is_measured_as_one_picture() -> None:
    """What two halves have together is what the whole has, where no layer mixes places."""
    network = nn.Sequential(
        nn.Conv2d(3, 5, 1), nn.GroupNorm(5, 5), nn.ReLU(), nn.Conv2d(5, 4, 1), nn.InstanceNorm2d(4)
    )
    photo = torch.rand(1, 3, 20, 40)
    halves = torch.cat(photo.split(20, dim=3))
    torch.testing.assert_close(measure(network, halves), measure(network, photo), atol=1e-5, rtol=1e-4)


def test_given_statistics_change_the_result_and_not_the_network() -> None:
    network, photo = generator(), torch.rand(1, 3, 32, 32) * 2 - 1
    before = network(photo)
    other = with_statistics(network, measure(network, torch.rand(1, 3, 32, 32) * 0.1))
    assert (other(photo) - before).abs().max() > 0.01
    assert torch.equal(network(photo), before)
    assert next(other.parameters()) is next(network.parameters())


def test_statistics_of_another_network_are_refused() -> None:
    with pytest.raises(ValueError, match="of another network"):
        with_statistics(generator(), torch.zeros(1, 3, 2))


@pytest.mark.parametrize("norm", ["channel", "instance"])
def test_the_exported_form_takes_what_it_is_given_and_otherwise_its_own(norm: str) -> None:
    network, photo = generator(norm), torch.rand(2, 3, 32, 48) * 2 - 1
    steered, zeros = Steered(network), torch.zeros(1, table_length(network), 2)
    made, own = steered(photo, zeros)
    torch.testing.assert_close(made, network(photo), atol=2e-5, rtol=1e-4)
    for i in range(2):
        torch.testing.assert_close(own[i : i + 1], measure(network, photo[i : i + 1]), atol=1e-4, rtol=1e-3)
    table = measure(network, torch.rand(1, 3, 32, 32))
    torch.testing.assert_close(steered(photo, table)[0], with_statistics(network, table)(photo), atol=2e-5, rtol=1e-4)
