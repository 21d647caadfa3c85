"""Deletes the packages that a run pushed into a cluster of somebody else."""

import ssl
from collections.abc import Mapping
from typing import Any, Final

import httpx

from mocknode.judge.traffic import attempt_of_file_name

ALL: Final = 2**31 - 1
"""The largest page that the API allows; the vendor's command line also asks for all packages this way."""


async def delete_packages(cluster: Mapping[str, Any], attempts: set[str]) -> None:
    """Delete the packages of these attempts, through the first node's own address.

    Args:
        cluster: The control API's `/`: nodes, API key, authority.
        attempts: Ids that are part of the packages' names.

    Raises:
        httpx.HTTPError: the node is not reached, or refuses.
    """
    node = cluster["nodes"][0]
    trust = ssl.create_default_context(cadata=cluster["ca_pem"]) if cluster["ca_pem"] else True
    headers = {"X-Octopus-ApiKey": cluster["api_key"]}
    url = node["http"] or node["https"]
    async with httpx.AsyncClient(base_url=url, verify=trust, headers=headers, trust_env=False) as client:
        listed = await client.get("/api/packages", params={"take": ALL})
        listed.raise_for_status()
        ids = [item["Id"] for item in listed.json()["Items"]]
        ours = [id_ for id_ in ids if attempt_of_file_name(f"{id_.removeprefix('packages-')}.zip") in attempts]
        if ours:
            (await client.request("DELETE", "/api/packages/bulk", json={"Ids": ours})).raise_for_status()
