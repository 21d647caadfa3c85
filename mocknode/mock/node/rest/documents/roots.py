"""The root documents: what the server is, and link templates (RFC 6570) of everything else, path only.

`overwriteMode` must appear in both upload templates: the .NET client decides by that which parameter to send, and `replace` must
stay for older ones (OctopusDeploy/Issues 5838). Sources: RootResource of the swagger, `constants_uri_templates.go` of
go-octopusdeploy and a canned answer of a 2019.7 server in OctopusClients.
"""

from typing_extensions import TypedDict


class Root(TypedDict):
    """What the server is and where things are."""

    Application: str
    Version: str
    ApiVersion: str
    InstallationId: str
    IsEarlyAccessProgram: bool
    HasLongTermSupport: bool
    Links: dict[str, str]


class SpaceRoot(TypedDict):
    """Where things of a space are."""

    Id: str
    Links: dict[str, str]


def root_document(version: str, installation_id: str, default_space: str | None) -> Root:
    """The system's root; links of the default space are bound to it."""
    return {
        "Application": "Octopus Deploy",
        "Version": version,
        # The .NET client takes 3.0.0 to 3.0.99.
        "ApiVersion": "3.0.0",
        "InstallationId": installation_id,
        "IsEarlyAccessProgram": False,
        "HasLongTermSupport": False,
        "Links": {
            "Self": "/api",
            "Web": "/app",
            "CurrentUser": "/api/users/me",
            "Users": "/api/users{/id}{?skip,take,ids,filter}",
            "SignIn": "/api/users/login{?returnUrl}",
            "SignOut": "/api/users/logout",
            "Spaces": "/api/spaces{/id}{?name,skip,ids,take,partialName}",
            "SpaceHome": "/api/{spaceId}",
            "ServerStatus": "/api/serverstatus",
            "ServerHealthStatus": "/api/serverstatus/health",
            "OctopusServerNodes": "/api/octopusservernodes{/id}{?skip,take,ids,partialName}",
            "OctopusServerClusterSummary": "/api/octopusservernodes/summary",
            "MaintenanceConfiguration": "/api/maintenanceconfiguration",
            "CertificateConfiguration": "/api/configuration/certificates{/id}{?skip,take,ids}",
            **(space_links(default_space) if default_space else {}),
        },
    }


def space_root_document(space: str) -> SpaceRoot:
    """The root of a space."""
    return {"Id": space, "Links": {"Self": f"/api/{space}", **space_links(space)}}


def space_links(space: str) -> dict[str, str]:
    """Templates of what belongs to a space."""
    base = f"/api/{space}"
    return {
        "Feeds": f"{base}/feeds{{/id}}{{?skip,take,ids,partialName,feedType}}",
        "Environments": f"{base}/environments{{/id}}{{?name,skip,ids,take,partialName}}",
        "Machines": f"{base}/machines{{/id}}{{?skip,take,name,ids,partialName,thumbprint}}",
        "Packages": f"{base}/packages{{/id}}{{?nuGetPackageId,filter,latest,skip,take,includeNotes}}",
        "PackagesBulk": f"{base}/packages/bulk{{?ids}}",
        "PackageUpload": f"{base}/packages/raw{{?replace,overwriteMode}}",
        "PackageDeltaSignature": f"{base}/packages/{{packageId}}/{{version}}/delta-signature",
        "PackageDeltaUpload": f"{base}/packages/{{packageId}}/{{baseVersion}}/delta{{?replace,overwriteMode}}",
        "PackageNotesList": f"{base}/packages/notes{{?packageIds}}",
    }
