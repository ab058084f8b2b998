import { PageTitle } from "../../components/PageTitle";
import { useI18n } from "../../i18n";

/** Finds people by any identifier. */
export default function People() {
  const { t } = useI18n();
  return <PageTitle title={t("person.title")} />;
}
