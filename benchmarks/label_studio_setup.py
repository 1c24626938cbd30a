"""Run inside Label Studio's own environment: makes an organization, users with tokens, one project and its tasks; prints them as JSON."""

from __future__ import annotations

import json
import os
import sys


def main(users: int, tasks: int) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "core.settings.label_studio"
    import label_studio

    sys.path.insert(0, os.path.dirname(label_studio.__file__))
    import django

    django.setup()
    from organizations.models import Organization
    from projects.models import Project
    from rest_framework.authtoken.models import Token
    from tasks.models import Task
    from users.models import User

    made = [User.objects.create_user(f"annotator{number}@example.com", "a-long-password") for number in range(users)]
    organization = Organization.create_organization(created_by=made[0], title="Benchmark")
    if hasattr(organization, "jwt"):
        organization.jwt.legacy_api_tokens_enabled = True
        organization.jwt.save()
    for user in made:
        organization.add_user(user)
        user.active_organization = organization
        user.save()
    choices = "".join(f'<Choice value="{digit}"/>' for digit in range(10))
    config = f'<View><Image name="image" value="$image"/><Choices name="digit" toName="image">{choices}</Choices></View>'
    project = Project.objects.create(
        title="Digits", label_config=config, organization=organization, created_by=made[0], maximum_annotations=1, is_published=True
    )
    rows = (Task(project=project, data={"image": f"/data/{number}.png"}, overlap=1, inner_id=number + 1) for number in range(tasks))
    Task.objects.bulk_create(rows, batch_size=5000)
    if hasattr(project, "summary"):
        project.summary.all_data_columns = {"image": tasks}
        project.summary.save()
    tokens = [Token.objects.get_or_create(user=user)[0].key for user in made]
    print("RESULT " + json.dumps({"project": project.id, "tokens": tokens}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
