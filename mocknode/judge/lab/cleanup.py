"""Deletes the packages that a run pushed into a cluster of somebody else."""

import ssl
from collections.abc import Mapping
from typing import Any, Final

import httpx

from mocknode.judge.traffic import FrontDoor, attempt_of_file_name

ALL: Final = 2**31 - 1
"""The largest page that the API allows; the vendor's command line also asks for all packages this way."""


async def delete_packages(cluster: Mapping[str, Any], attempts: set[str], front: FrontDoor | None = None) -> None:
    """Delete the packages of these attempts, through the first node's own address, by HTTPS if it has one.

    Args:
        cluster: The control API's `/`: nodes, API key, authority.
        attempts: Ids that are part of the packages' names.
        front: Where to go if the node redirects plain HTTP: it believes the balancer that its clients use HTTPS.

    Raises:
        httpx.HTTPError: the node is not reached, or refuses.
    """
    node = cluster["nodes"][0]
    trust = ssl.create_default_context(cadata=cluster["ca_pem"]) if cluster["ca_pem"] else True
    key = {"X-Octopus-ApiKey": cluster["api_key"]}
    # A node that forces HTTPS and has no port for it may trust a proxy on this host.
    headers = {**key, "X-Forwarded-Proto": "https"}
    url = node["https"] or node["http"]
    try:
        async with httpx.AsyncClient(base_url=url, verify=trust, headers=headers, trust_env=False) as client:
            await _delete(client, attempts)
    except httpx.HTTPStatusError as exc:
        if front is None or not exc.response.is_redirect:
            raise
        url = f"{front.scheme}://{front.address}:{front.port}"
        door = front.tls("http/1.1") or True
        async with httpx.AsyncClient(
            base_url=url, verify=door, headers={**key, "Host": front.authority}, trust_env=False
        ) as client:
            await _delete(client, attempts, {"sni_hostname": front.host_header or front.host})


async def _delete(client: httpx.AsyncClient, attempts: set[str], extensions: dict[str, Any] | None = None) -> None:
    listed = await client.get("/api/packages", params={"take": ALL}, extensions=extensions)
    listed.raise_for_status()
    ids = [item["Id"] for item in listed.json()["Items"]]
    ours = [id_ for id_ in ids if attempt_of_file_name(f"{id_.removeprefix('packages-')}.zip") in attempts]
    if ours:
        done = await client.request("DELETE", "/api/packages/bulk", json={"Ids": ours}, extensions=extensions)
        done.raise_for_status()
