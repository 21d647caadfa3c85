"""Drives octopus-deploy-swagger-client, generated from the server's own Swagger: one job as JSON in argv, one line out."""

import json
import sys
from typing import Any

import octopus_deploy_swagger_client as octopus
import octopus_deploy_swagger_client.models

# The generator's names are long.
PACKAGES = "custom_action_response_descriptor_octopus_server_web_api_actions_package_repository_package_repository"


def run(job: dict[str, Any]) -> Any:
    configuration = octopus.Configuration()
    configuration.host = job["url"]
    configuration.api_key["X-Octopus-ApiKey"] = job["apiKey"]
    client = octopus.ApiClient(configuration)
    nodes, spaces, packages = (
        octopus.OctopusServerNodesApi(client),
        octopus.SpacesApi(client),
        octopus.PackagesApi(client),
    )
    match job["operation"]:
        case "spaces":
            page = spaces.index_response_descriptor_spaces_space_space_resource()
            every = spaces.list_all_response_descriptor_spaces_space_space_resource()
            assert [space.id for space in page.items] == [space.id for space in every]
            one = spaces.load_response_descriptor_spaces_space_space_resource(every[0].id)
            assert one.to_dict() == every[0].to_dict()
            return [space.name for space in every]
        case "nodes":
            page = nodes.index_response_descriptor_clustering_octopus_server_node_octopus_server_node_resource()
            every = nodes.list_all_response_descriptor_clustering_octopus_server_node_octopus_server_node_resource()
            assert [node.id for node in page.items] == [node.id for node in every]
            for node in every:
                one = nodes.load_response_descriptor_clustering_octopus_server_node_octopus_server_node_resource(
                    node.id
                )
                assert one.name == node.name
            nodes.custom_action_response_descriptor_octopus_server_web_api_actions_octopus_server_cluster_summary_responder()
            return [node.name for node in every]
        case "packages":
            page = getattr(packages, f"{PACKAGES}_list_action_spaces")("Spaces-1")
            return [[package.id, package.version] for package in page.items]
        case "package":
            return getattr(packages, f"{PACKAGES}_get_action")(job["packageId"]).hash
        case other:
            raise ValueError(f"no operation {other}")


if __name__ == "__main__":
    try:
        print(json.dumps({"ok": True, "result": run(json.loads(sys.argv[1]))}))
    except octopus.rest.ApiException as error:
        print(json.dumps({"ok": False, "status": error.status, "error": str(error.body)}))
